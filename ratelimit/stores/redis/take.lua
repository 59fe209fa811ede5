-- Takes tokens from every bucket of KEYS or, where one has too little, from none: the arithmetic of bucket.take, in
-- doubles, which hold whole numbers exactly up to 2^53. Written for speed: most of a decision's time is spent here.
--
-- ARGV: two numbers for each key, both in microseconds: burst × T, and what to add to the arrival time. Adding 0 only
-- reads, less than 0 gives tokens back.
-- Answers with integers: this server's clock in microseconds, then for each key 1 or 0 (it fits) and its arrival time.

local call, pcall = redis.call, redis.pcall
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local answer, all_fit, starts, cut = {now}, true, nil, nil

for i = 1, #KEYS do
  local empty = now + ARGV[2 * i - 1]
  local start = now
  local stored = tonumber(pcall('GET', KEYS[i])) -- nil where there is nothing, another type or no number: that is full
  if stored and stored > now and stored < 9007199254740992 and stored % 1 == 0 then
    start = stored
    if stored > empty then
      start = empty
      cut = cut or {}
      cut[i] = true
    end
  end
  local after = start + ARGV[2 * i]
  if after < now then after = now end
  if after > empty then all_fit = false end
  if #KEYS > 1 or not all_fit then
    starts = starts or {}
    starts[i] = start
  end
  answer[2 * i] = after > empty and 0 or 1
  answer[2 * i + 1] = after
end

for i = 1, #KEYS do
  local write = all_fit and ARGV[2 * i] ~= '0'
  if not all_fit then
    answer[2 * i + 1] = starts[i]
    write = cut and cut[i] -- a denial writes nothing, but what came from a wrong clock must begin to refill
  end
  if write then
    local arrival = answer[2 * i + 1]
    if arrival > now then
      -- redis.call writes a number with 17 digits. PXAT, because PX counts from a clock that may be 1 ms behind TIME, and
      -- a key that goes before its bucket is full lets too much through.
      call('SET', KEYS[i], arrival, 'PXAT', math.ceil(arrival / 1000))
    else
      call('DEL', KEYS[i])
    end
  end
end
return answer
