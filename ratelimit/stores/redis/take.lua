-- Takes tokens from every bucket of KEYS or, where one has too little, from none: the arithmetic of bucket.take, in
-- doubles, which hold whole numbers exactly up to 2^53.
--
-- ARGV: two numbers for each key, both in microseconds: burst × T, and what to add to the arrival time. Adding 0 only
-- reads, less than 0 gives tokens back.
-- Answers with integers: this server's clock in microseconds, then for each key 1 or 0 (it fits) and its arrival time.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer, starts, cut = {now}, {}, {}
local all_fit = true

for i, key in ipairs(KEYS) do
  local empty = now + ARGV[2 * i - 1]
  local start = now
  local stored = tonumber(redis.pcall('GET', key)) -- nil where there is nothing, another type or no number: that is full
  if stored and stored > now and stored < 2 ^ 53 and stored % 1 == 0 then
    start = math.min(stored, empty)
    cut[i] = start < stored
  end
  local after = math.max(start + ARGV[2 * i], now)
  local fits = after <= empty
  all_fit = all_fit and fits
  starts[i] = start
  answer[2 * i] = fits and 1 or 0
  answer[2 * i + 1] = after
end

for i, key in ipairs(KEYS) do
  local write = all_fit and tonumber(ARGV[2 * i]) ~= 0
  if not all_fit then
    answer[2 * i + 1] = starts[i]
    write = cut[i] -- a denial writes nothing, but what came from a wrong clock must begin to refill
  end
  local arrival = answer[2 * i + 1]
  if write and arrival > now then
    -- '%.0f', because Lua's own conversion keeps 14 digits. PXAT, because PX counts from a clock that may be 1 ms behind
    -- TIME, and a key that goes before its bucket is full lets too much through.
    redis.call('SET', key, string.format('%.0f', arrival), 'PXAT', string.format('%.0f', math.ceil(arrival / 1000)))
  elseif write then
    redis.call('DEL', key)
  end
end
return answer
