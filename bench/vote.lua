-- Measuring: votes for wrk, over four options in turn, and a last line of JSON with what came of them.

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

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"max":%d,"bad_status":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
