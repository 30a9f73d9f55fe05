-- Measuring: batches for wrk, of as many lines as its first word says.

package.path = debug.getinfo(1, "S").source:match("@?(.*/)") .. "?.lua;" .. package.path
require("done")

local prepared

function init(args)
  local lines = {}
  local options = { "JavaScript", "Python", "Java", "Rust" }
  for number = 1, tonumber(args[1]) do
    lines[number] = '{"option":"' .. options[(number - 1) % #options + 1] .. '"}\n'
  end
  prepared = wrk.format("POST", nil, { ["Content-Type"] = "application/x-ndjson" }, table.concat(lines))
end

function request()
  return prepared
end
