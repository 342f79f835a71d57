"""The scripts: one Lua file a call, in folders by subject, and their loader."""
