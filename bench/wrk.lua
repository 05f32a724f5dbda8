-- wrk's request, the same each time, and its figures as `name=value` lines.
--
--     wrk ... -s wrk.lua URL -- FILE
--
-- FILE holds the bytes to send: one request, or several to be pipelined.

function init(args)
   local file = assert(io.open(args[1], "rb"))
   local bytes = file:read("*a")
   file:close()
   wrk.format = function() return bytes end
end

function done(summary, latency, requests)
   local e = summary.errors
   print("requests=" .. summary.requests)
   print("microseconds=" .. summary.duration)
   print("latency_p50=" .. latency:percentile(50))
   print("latency_p99=" .. latency:percentile(99))
   print("error_connect=" .. e.connect)
   print("error_read=" .. e.read)
   print("error_write=" .. e.write)
   print("error_status=" .. e.status)
   print("error_timeout=" .. e.timeout)
end
