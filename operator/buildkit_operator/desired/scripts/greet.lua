-- Takes a client's connection, and passes it on once a daemon answers. gRPC gives a connection up that is silent for 20
-- seconds: so the client is sent an empty SETTINGS frame of HTTP/2 (RFC 9113, section 6.5) first. The daemon's own
-- follows, of which a client may get any number.
-- A connection is made and closed before, as what HAProxy knows of a daemon may be a minute old. Once WAIT_SECONDS
-- are over, or UNREACHABLE_SECONDS in which none answered though DNS has some that are ready, the client is told so; the
-- log tells it every TELL_SECONDS before.
-- Removes the time of the last use that buildx has just noted, for the user who builds alone: see activity.sh.
local service = os.getenv("SERVICE")
local wait, limit = tonumber(os.getenv("WAIT_SECONDS")), tonumber(os.getenv("UNREACHABLE_SECONDS"))
local tell = tonumber(os.getenv("TELL_SECONDS"))

-- Clients such as buildx make further connections, to hear the same again, and give up after 20 seconds of silence.
local REMEMBERED_SECONDS = 60

local last_words, last_told = nil, 0

local function now()
  local time = core.now()
  return time.sec + time.usec / 1000000
end

local noted = {}
local folder = (os.getenv("BUILDKIT_HOST") or ""):match("^unix://(.*)/")
for container in (os.getenv("BUILDX_CONTAINERS") or ""):gmatch("[^,]+") do
  table.insert(noted, folder .. "/buildx/" .. container .. "/activity/buildkit")
end

-- HAProxy tries such a connection four times.
local function knock(server)
  local socket = core.tcp()
  socket:settimeout(1)
  local opened = socket:connect(server:get_addr())
  socket:close()
  return opened ~= nil
end

local function is_resolved(server)
  return string.find(server:get_stats()["status"], "^MAINT") == nil
end

-- Whether a daemon answers; and whether DNS names one.
local function look()
  local servers = core.backends["daemons"].servers
  if is_resolved(servers["service"]) and knock(servers["service"]) then
    return true
  end
  local named = false
  for name, server in pairs(servers) do
    if name ~= "service" and is_resolved(server) then
      named = true
      -- One that is down HAProxy itself asks each second.
      if string.find(server:get_stats()["status"], "^UP") ~= nil and knock(server) then
        return true
      end
    end
  end
  return false, named
end

-- The first build of a pod would meet any daemon by the Service, and not the one that has its cache.
local function await_names()
  local daemons = core.backends["daemons"]
  if daemons:get_srv_act() > 0 then
    return
  end
  for _ = 1, 40 do
    core.msleep(50)
    if daemons:get_srv_act() > 0 then
      -- The answers for the other daemons are on their way.
      core.msleep(50)
      return
    end
  end
end

-- Why there is no daemon, and what to do: of those that could not be reached for some seconds though DNS has some that
-- are ready, or else of those that were waited for.
local function cause(waited, unreachable)
  if unreachable > 0 then
    return string.format(
      "no connection to %s could be made for %d seconds, though daemons are ready: a NetworkPolicy or a firewall is in "
        .. "the way. Let this pod reach that port, by the egress of its namespace and the ingress of the builder's",
      service, unreachable // 1)
  end
  return string.format(
    "no daemon answered at %s for %d seconds: kubectl get bkb -o wide in the builder's namespace says why",
    service, waited // 1)
end

-- What a client is told, once that is for good; nil as long as a daemon is waited for.
local function verdict(waited, unreachable)
  if unreachable >= limit then
    return cause(waited, limit)
  end
  if waited >= wait then
    return cause(wait, 0)
  end
end

local function await_daemon()
  local begun = now()
  local unready, complained = begun, begun
  while true do
    local answers, named = look()
    if answers then
      last_words = nil
      return
    end
    local time = now()
    if last_words ~= nil and time - last_told < REMEMBERED_SECONDS then
      return last_words
    end
    if not named then
      unready = time
    end
    local words = verdict(time - begun, time - unready)
    if words ~= nil then
      last_words, last_told = words, time
      return words
    end
    if time - complained >= tell then
      complained = time
      core.log(core.notice, "a build waits: " .. cause(time - begun, time - unready))
    end
    core.msleep(1000)
  end
end

local function frame(kind, flags, stream, payload)
  return string.pack(">I3BBI4", #payload, kind, flags, stream) .. payload
end

-- An integer of a prefix of 7 bits (RFC 7541, section 5.1), before as many bytes of text (5.2).
local function text(bytes)
  local length = #bytes
  if length < 0x7f then
    return string.char(length) .. bytes
  end
  local encoded, rest = "\x7f", length - 0x7f
  while rest >= 0x80 do
    encoded, rest = encoded .. string.char(rest % 0x80 + 0x80), rest // 0x80
  end
  return encoded .. string.char(rest) .. bytes
end

-- A header that is not put into the table (section 6.2.2).
local function header(name, value)
  return "\0" .. text(name) .. text(value)
end

-- Ends the client's first calls with gRPC's status FAILED_PRECONDITION, which no client tries again, and then the
-- connection (GOAWAY).
local function refuse(txn, words)
  core.log(core.warning, "a build is refused: " .. words)
  -- A client that has only just come makes its call when it has seen SETTINGS.
  core.msleep(1000)
  local headers = "\x88" .. header("content-type", "application/grpc")
    .. header("grpc-status", "9") .. header("grpc-message", words)
  for stream = 1, 7, 2 do
    txn.res:send(frame(1, 5, stream, headers))
  end
  txn.res:send(frame(7, 0, 0, string.pack(">I4I4", 0x7fffffff, 0) .. words))
  txn:done()
end

core.register_action("greet", { "tcp-req" }, function(txn)
  for _, file in ipairs(noted) do
    os.remove(file)
  end
  txn.res:send(frame(4, 0, 0, ""))
  await_names()
  local words = await_daemon()
  if words ~= nil then
    refuse(txn, words)
  end
end)
