/**
 * The presence scripts: every change of who is here is one atomic call, timed by Redis and by no node's clock.
 *
 * Keys (a single Redis, not a cluster: scripts name keys themselves):
 *   presence:user:<user>         online | away, with the time that is left; absent means offline
 *   city:presence:leases:<user>  hash: connection -> "<status> <expiry ms> <run>"
 *   city:presence:expiry         zset: "<user> <connection>" by expiry ms
 *   city:presence:of:<run>       set:  "<user> <connection>" held by a node's run
 *   city:presence:online|away    zset: user by last seen ms; the announced status of everybody who is not offline
 *   city:presence:seen:<user>    last seen ms of somebody offline, for 30 days
 *   city:presence:log            hash: epoch, version (of the last transition), pulse (last reap), calm (until)
 *   city:nodes · city:lease:<run>  zset: run by expiry ms, for the reaper · the run's lease, set by its renewals only
 *   city:known:<run>             for a day after a renewal: without it Redis was emptied since
 *   city:open:of:<run>           set:  "<room> <user> <connection>"
 *   city:open:room:<room> · city:open:user:<user>   hash: user -> connections · room -> connections
 *   city:open:left:<user>        zset: rooms left in the last 5 s by when, ms
 *
 * Late: a node waits a second for an answer and then counts a call as failed. What it gave up on may still lie in a dead
 * link, and arrive when that is mended: a heartbeat of somebody who left meanwhile. So the calls that change what a
 * connection counts for say until when they may, by the clock of Redis, and do nothing afterwards.
 *
 * Calm: when nobody has reaped for 2 s, Redis itself was away, frozen or emptied. Then nothing is reaped for a while
 * and lapsed leases still count, so that all nodes can renew theirs before anybody is called dead.
 */

const CLOCK = `
local P = 'city:presence:'
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function whole(n) return string.format('%.0f', n) end
-- A run that holds something without a lease (Redis was emptied) is to be found by the reaper all the same.
local function enlist(run) redis.call('ZADD', 'city:nodes', 'NX', whole(now + 6000), run) end
`;

/** Takes the first argument: the last moment at which the call may take effect, ms. */
const IN_TIME = `
if now > tonumber(table.remove(ARGV, 1)) then
  return redis.error_reply('LATE nobody waits for this call any more')
end
`;

const LOG = `
local log = redis.call('HMGET', P..'log', 'epoch', 'version', 'pulse', 'calm')
local epoch, version = log[1], tonumber(log[2] or '0')
if not epoch then
  epoch = time[1]..'.'..time[2]
  redis.call('HSET', P..'log', 'epoch', epoch)
end
local gap = not log[3] or now - tonumber(log[3]) > 2000
local calm = gap or now < tonumber(log[4] or '0')
`;

/** `settle` brings a user's status in line with their leases and appends the transition, if it is one, to `changes`. */
const SETTLE = `
local changes = {}
local function announced(user)
  for _, status in ipairs({ 'online', 'away' }) do
    local seen = redis.call('ZSCORE', P..status, user)
    if seen then return status, tonumber(seen) end
  end
  return 'offline', nil
end
-- Of somebody offline, the rooms just left: who closes the page leaves them at once, and is offline after the grace.
local function left(user, status)
  if status ~= 'offline' then return {} end
  return redis.call('ZRANGEBYSCORE', 'city:open:left:'..user, whole(now - 5000), '+inf')
end
local function settle(user, seenNow)
  local leases = redis.call('HGETALL', P..'leases:'..user)
  local status, longest = 'offline', 0
  for i = 2, #leases, 2 do
    local own, expiry = string.match(leases[i], '^(%a+) (%d+)')
    expiry = tonumber(expiry)
    if expiry > now or calm then
      if own == 'online' or status == 'offline' then status = own end
      if expiry > longest then longest = expiry end
    end
  end
  local before, seen = announced(user)
  if seenNow or not seen then seen = now end
  if status == 'offline' then
    redis.call('DEL', 'presence:user:'..user)
    if before == 'offline' then return end
    redis.call('ZREM', P..before, user)
    redis.call('SET', P..'seen:'..user, whole(seen), 'PX', 2592000000)
  else
    local left = longest - now
    if left < 1 then left = 1000 end
    redis.call('SET', 'presence:user:'..user, status, 'PX', whole(left))
    redis.call('ZADD', P..status, whole(seen), user)
    if before == status then return end
    if before == 'offline' then redis.call('DEL', P..'seen:'..user) else redis.call('ZREM', P..before, user) end
  end
  version = redis.call('HINCRBY', P..'log', 'version', 1)
  changes[#changes + 1] = {
    version, user, status, seen, redis.call('HKEYS', 'city:open:user:'..user), left(user, status)
  }
end
local function hold(user, conn, run, status, ttl)
  local expiry = whole(now + ttl)
  redis.call('HSET', P..'leases:'..user, conn, status..' '..expiry..' '..run)
  redis.call('ZADD', P..'expiry', expiry, user..' '..conn)
  if run == '' then return end
  redis.call('SADD', P..'of:'..run, user..' '..conn)
  enlist(run)
end
local function remove(user, conn)
  local lease = redis.call('HGET', P..'leases:'..user, conn)
  redis.call('ZREM', P..'expiry', user..' '..conn)
  if not lease then return end
  redis.call('HDEL', P..'leases:'..user, conn)
  redis.call('SREM', P..'of:'..string.match(lease, '^%a+ %d+ (.*)$'), user..' '..conn)
end
`;

const OCCUPANCY = `
-- When it happens: of what several nodes tell about a room the latest holds. Microseconds.
local moment = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function count(room) return redis.call('HLEN', 'city:open:room:'..room) end
local function open(run, room, user, conn)
  if redis.call('SADD', 'city:open:of:'..run, room..' '..user..' '..conn) == 0 then return false end
  redis.call('HINCRBY', 'city:open:user:'..user, room, 1)
  return redis.call('HINCRBY', 'city:open:room:'..room, user, 1) == 1
end
-- Takes a connection that is no longer in its run's set out of the counts; true when it was the user's last.
local function shut(room, user)
  local connections = redis.call('HINCRBY', 'city:open:user:'..user, room, -1)
  if connections < 1 then redis.call('HDEL', 'city:open:user:'..user, room) end
  if connections == 0 then   -- below nothing, the user was erased meanwhile: nothing of theirs is kept
    local key = 'city:open:left:'..user
    redis.call('ZADD', key, whole(now), room)
    redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(now - 5000))
    redis.call('PEXPIRE', key, 5000)
  end
  if redis.call('HINCRBY', 'city:open:room:'..room, user, -1) > 0 then return false end
  redis.call('HDEL', 'city:open:room:'..room, user)
  return true
end
`;

const ANSWER = `return { epoch, changes }`;

/** Lua by command name; the arguments and answers are those of `ScriptCalls`. */
export const SCRIPTS = {
  cityTouch: `${CLOCK}${IN_TIME}${LOG}${SETTLE}
    for i = 2, #ARGV, 4 do hold(ARGV[i], ARGV[i + 1], ARGV[1], ARGV[i + 2], tonumber(ARGV[i + 3])) end
    for i = 2, #ARGV, 4 do settle(ARGV[i], true) end
    ${ANSWER}`,

  cityRegister: `${CLOCK}${IN_TIME}${LOG}${SETTLE}
    for i = 2, #ARGV, 4 do hold(ARGV[i], ARGV[i + 1], ARGV[1], ARGV[i + 2], tonumber(ARGV[i + 3])) end
    for i = 2, #ARGV, 4 do settle(ARGV[i], false) end
    ${ANSWER}`,

  cityClose: `${CLOCK}${IN_TIME}${LOG}${SETTLE}
    local user, conn, cut = ARGV[1], ARGV[2], now + tonumber(ARGV[3])
    local lease = redis.call('HGET', P..'leases:'..user, conn)
    if not lease then return { epoch, changes } end
    local status, expiry, run = string.match(lease, '^(%a+) (%d+) (.*)$')
    if tonumber(expiry) > cut then
      redis.call('HSET', P..'leases:'..user, conn, status..' '..whole(cut)..' '..run)
      redis.call('ZADD', P..'expiry', whole(cut), user..' '..conn)
    end
    settle(user, true)
    ${ANSWER}`,

  cityDrop: `${CLOCK}${IN_TIME}${LOG}${SETTLE}
    remove(ARGV[1], ARGV[2])
    settle(ARGV[1], true)
    ${ANSWER}`,

  cityForget: `${CLOCK}${LOG}${SETTLE}
    local user = ARGV[1]
    local found = 0
    for _, conn in ipairs(redis.call('HKEYS', P..'leases:'..user)) do
      remove(user, conn)
      found = found + 1
    end
    settle(user, false)
    -- What a connection that still lives closes later is counted below nothing, and then not kept (shut).
    for _, room in ipairs(redis.call('HKEYS', 'city:open:user:'..user)) do
      redis.call('HDEL', 'city:open:room:'..room, user)
    end
    return found + redis.call('DEL', P..'seen:'..user, 'city:open:user:'..user, 'city:open:left:'..user,
      'presence:user:'..user)`,

  cityReap: `${CLOCK}${LOG}${SETTLE}${OCCUPANCY}
    local run, limit, calmFor = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
    local held = redis.call('EXISTS', 'city:lease:'..run)
    redis.call('HSET', P..'log', 'pulse', whole(now))
    if gap then redis.call('HSET', P..'log', 'calm', whole(now + calmFor)) end
    local departures, more = {}, 0
    if calm or held == 0 then return { epoch, changes, departures, held, more, 0 } end
    local gone = redis.call('ZRANGEBYSCORE', P..'expiry', '-inf', whole(now), 'LIMIT', 0, limit)
    if #gone == limit then more = 1 end
    for _, dead in ipairs(redis.call('ZRANGEBYSCORE', 'city:nodes', '-inf', whole(now), 'LIMIT', 0, 10)) do
      local members = redis.call('SPOP', P..'of:'..dead, limit)
      local opened = redis.call('SPOP', 'city:open:of:'..dead, limit)
      for _, member in ipairs(members) do gone[#gone + 1] = member end
      for _, member in ipairs(opened) do
        local room, user = string.match(member, '^(%S+) (%S+)')
        if shut(room, user) then
          departures[#departures + 1] = { room, user, count(room), moment }
        end
      end
      if #members == limit or #opened == limit then more = 1
      else redis.call('ZREM', 'city:nodes', dead) end
    end
    local users = {}
    for _, member in ipairs(gone) do
      local user, conn = string.match(member, '^(%S+) (.*)$')
      remove(user, conn)
      users[user] = true
    end
    for user in pairs(users) do settle(user, false) end
    local due = now + 86400000   -- nothing is held: in a day
    for _, key in ipairs({ P..'expiry', 'city:nodes' }) do
      due = math.min(due, tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2] or due))
    end
    return { epoch, changes, departures, held, more, due - now }`,

  citySnapshot: `${CLOCK}${LOG}
    local last = tonumber(ARGV[1])
    return { epoch, version, calm and 1 or 0,
      redis.call('ZREVRANGE', P..'online', 0, last, 'WITHSCORES'),
      redis.call('ZREVRANGE', P..'away', 0, last, 'WITHSCORES'),
      redis.call('ZCARD', P..'online'), redis.call('ZCARD', P..'away') }`,

  cityStatuses: `${CLOCK}${LOG}${SETTLE}
    local found = {}
    for i, user in ipairs(ARGV) do
      local status, seen = announced(user)
      found[i] = { status, seen or redis.call('GET', P..'seen:'..user),
        redis.call('HKEYS', 'city:open:user:'..user), left(user, status) }
    end
    return found`,

  cityRenew: `${CLOCK}
    local held = redis.call('EXISTS', 'city:lease:'..ARGV[1])
    redis.call('SET', 'city:lease:'..ARGV[1], '1', 'PX', ARGV[2])
    redis.call('ZADD', 'city:nodes', whole(now + tonumber(ARGV[2])), ARGV[1])
    local known = redis.call('EXISTS', 'city:known:'..ARGV[1])
    redis.call('SET', 'city:known:'..ARGV[1], '1', 'PX', 86400000)
    return { held, now, known }`,

  cityRetire: `${CLOCK}
    redis.call('ZADD', 'city:nodes', 'XX', whole(now + tonumber(ARGV[2])), ARGV[1])
    redis.call('DEL', 'city:known:'..ARGV[1])
    return redis.call('PEXPIRE', 'city:lease:'..ARGV[1], ARGV[2])`,

  cityOpen: `${CLOCK}${IN_TIME}${OCCUPANCY}
    enlist(ARGV[1])
    local opened = {}
    for i = 2, #ARGV, 3 do
      local first = open(ARGV[1], ARGV[i], ARGV[i + 1], ARGV[i + 2])
      opened[#opened + 1] = { first and 1 or 0, count(ARGV[i]), moment }
    end
    return opened`,

  cityShut: `${CLOCK}${IN_TIME}${OCCUPANCY}
    local run, room, user, conn = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
    local last = redis.call('SREM', 'city:open:of:'..run, room..' '..user..' '..conn) == 1 and shut(room, user)
    return { last and 1 or 0, count(room), moment }`,
} as const;
