-- Sends the requests of a file one after the other, each thread from its own place in it, and prints one JSON line.
-- The file: for each request its length in decimal, a newline, and its bytes.
local threads = 0

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

function init(arguments)
    requests, at = {}, 0
    local file = assert(io.open(arguments[1], "rb"))
    local count, share = 0, tonumber(arguments[2])
    while true do
        local length = file:read("*l")
        if not length then break end
        local bytes = file:read(tonumber(length))
        if count % share == number then requests[#requests + 1] = bytes end
        count = count + 1
    end
    file:close()
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency, _)
    local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
    io.write(string.format('{"requests": %d, "seconds": %.6f, "refused": %d, "failed": %d, "bytes": %d, ' ..
        '"p50": %.1f, "p99": %.1f, "max": %.1f}\n', summary.requests, summary.duration / 1e6, summary.errors.status,
        failed, summary.bytes, latency:percentile(50), latency:percentile(99), latency.max))
end
