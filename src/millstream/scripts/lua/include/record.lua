-- How the fields of a run's record are called. This file and protocol/record.py are the only places that spell them.
local VERSION, STATE, LIFE, HELD = 'v', 'state', 'life', 'held'
local CREATED, ENDED, KEPT, WIDE = 'created', 'ended', 'kept', 'wide'
local function epoch_of(task) return 'e' .. task end
local function attempt_of(task) return 'a' .. task end
local function lost_of(task) return 'l' .. task end
local function unknown_of(task) return 'u' .. task end
local function left_in(gate) return 'g' .. gate end
local function failed_in(gate) return 'f' .. gate end
local function progress_of(decision) return 'p' .. decision end
