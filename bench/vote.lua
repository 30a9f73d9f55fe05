-- Measuring: votes for wrk, over four options in turn.

package.path = debug.getinfo(1, "S").source:match("@?(.*/)") .. "?.lua;" .. package.path
require("done")

local options = { "JavaScript", "Python", "Java", "Rust" }
local requests = {}
local turn = 0

function init(args)
  for number, option in ipairs(options) do
    requests[number] = wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, '{"option":"' .. option .. '"}')
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end
