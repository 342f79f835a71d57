-- Redis's clock, in milliseconds, as a number and as a string. Tests swap this file for one with an offset.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now_text = string.format('%.0f', now)
