-- wrk's request for one load, and its figures as `name=value` lines.
--
--     wrk ... -s wrk.lua URL -- [pipeline N] [close]
--
-- Without an argument wrk sends its own constant request.

function init(args)
   for i, arg in ipairs(args) do
      if arg == "close" then
         wrk.headers["Connection"] = "close"
      elseif arg == "pipeline" then
         local batch = string.rep(wrk.format(), tonumber(args[i + 1]))
         request = function() return batch end
      end
   end
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
