-- Takes a client's connection, and passes it on once a daemon answers. gRPC gives a connection up that is silent for 20
-- seconds: so the client is sent an empty SETTINGS frame of HTTP/2 (RFC 9113, section 6.5) first. The daemon's own
-- follows, of which a client may get any number.
-- A connection is made and closed before, as what HAProxy knows of a daemon may be a minute old. Once a client has waited
-- WAIT_SECONDS for a daemon, QUEUE_SECONDS for a place, or UNREACHABLE_SECONDS in which none could be used though DNS has
-- some that are ready, it is told so; the log tells it every TELL_SECONDS before. A process that was replaced, for a new
-- certificate or configuration, has a client come again where that may help: gRPC makes a call once more, but not twice.
-- Daemons of one architecture are a backend of their own, which the variable txn.daemons names; without it there is one.
-- Removes the time of the last use that buildx has just noted, for the user who builds alone: see activity.sh.
local wait, limit = tonumber(os.getenv("WAIT_SECONDS")), tonumber(os.getenv("UNREACHABLE_SECONDS"))
local tell = tonumber(os.getenv("TELL_SECONDS"))
-- Where daemons have a bound: how long a build waits for a place with one of them.
local queue = tonumber(os.getenv("QUEUE_SECONDS") or "")

-- A daemon that has no place closes a connection at once: it has, if it has not done so by then.
local FULL_SECONDS = 0.05

-- Clients such as buildx make further connections at once, to hear the same again. A job that tries again later waits.
local REMEMBERED_SECONDS = 10

-- How long a process that was replaced finds no daemon until it has its clients try the new one, which may know others.
local OUTDATED_SECONDS = 30

-- By backend: what a client was told last, and when.
local last = {}

local function now()
  local time = core.now()
  return time.sec + time.usec / 1000000
end

local noted = {}
local folder = (os.getenv("BUILDKIT_HOST") or ""):match("^unix://(.*)/")
for container in (os.getenv("BUILDX_CONTAINERS") or ""):gmatch("[^,]+") do
  table.insert(noted, folder .. "/buildx/" .. container .. "/activity/buildkit")
end

-- Whether a daemon answers, and whether it takes a build: one that is full closes the connection at once. HAProxy tries
-- such a connection four times.
local function knock(server)
  local socket = core.tcp()
  socket:settimeout(1)
  local opened, is_full = socket:connect(server:get_addr()), false
  if opened and queue ~= nil then
    -- A timeout and a connection that was closed are the same error here.
    socket:settimeout(FULL_SECONDS)
    local asked = now()
    is_full = socket:receive(1) == nil and now() - asked < FULL_SECONDS * 0.8
  end
  socket:close()
  return opened ~= nil, is_full
end

local function is_resolved(server)
  return string.find(server:get_stats()["status"], "^MAINT") == nil
end

-- Whether HAProxy goes on in another process, with a new configuration or certificate: this one has the old.
local function is_replaced()
  return tostring(core.get_info()["Stopping"]) == "1"
end

-- Servers that were full when they were looked at last, by name.
local was_full = {}

-- Whether HAProxy leads builds to a server. What is down, as it is once it was full, it asks each second for that.
local function is_up(server)
  return string.find(server:get_stats()["status"], "^UP") ~= nil
end

-- In a process that was replaced HAProxy asks no server any more: one that was full and has a place again is up by this.
local function bring_up(name, server)
  if not was_full[name] or not is_replaced() then
    return false
  end
  server:check_force_up()
  return true
end

-- What the daemons are like as a whole: one takes a build; all that answer have no place; what answers has a certificate
-- that is not trusted; those that DNS names do not answer; it names none.
local FREE, FULL, UNTRUSTED, SILENT, UNNAMED = {}, {}, {}, {}, {}

local function look(daemons)
  local by_service, found = daemons.servers["service"], UNNAMED
  if queue == nil and daemons:get_srv_act() > 0 and is_resolved(by_service) and knock(by_service) then
    return FREE
  end
  for name, server in pairs(daemons.servers) do
    if name ~= "service" and name ~= "any" and is_resolved(server) then
      local answers, is_full = false, false
      if queue ~= nil or is_up(server) then
        answers, is_full = knock(server)
      end
      if answers and not is_full and (is_up(server) or bring_up(name, server)) then
        return FREE
      end
      was_full[name] = is_full
      if is_full then
        found = FULL
      elseif found ~= FULL then
        local is_untrusted = string.find(server:get_stats()["check_status"] or "", "^L6") ~= nil
        found = (is_untrusted or found == UNTRUSTED) and UNTRUSTED or SILENT
      end
    end
  end
  if found == UNNAMED and is_resolved(by_service) and knock(by_service) then
    return FREE
  end
  return found
end

-- The first build of a pod would meet any daemon by the Service, and not the one that has its cache.
local function await_names(daemons)
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

-- Why a build goes on waiting, and what to do. It has been so for as_now seconds; spent is how long it has waited for a
-- place, or for a daemon.
local function cause(service, found, spent, as_now)
  if found == FULL then
    return string.format(
      "the daemons of %s run as many builds as they may, and no place came free for %d seconds: raise replicas, maxBuilds "
        .. "or queueTimeoutSeconds in spec.shared of the builder", service, spent // 1)
  elseif found == UNTRUSTED then
    return string.format(
      "what answers at %s has had a certificate for %d seconds that this pod does not trust. Where its builder was deleted "
        .. "and made again, start the job again; else something else answers there", service, as_now // 1)
  elseif found == SILENT then
    return string.format(
      "no connection to %s could be made for %d seconds, though daemons are ready: a NetworkPolicy or a firewall is in "
        .. "the way. Let this pod reach that port, by the egress of its namespace and the ingress of the builder's",
      service, as_now // 1)
  end
  return string.format(
    "no daemon answered at %s for %d seconds: kubectl get bkb -o wide in the builder's namespace says why",
    service, spent // 1)
end

-- What a client is told, once that is for good; nil as long as it waits.
local function verdict(service, found, spent, as_now)
  if found == FULL then
    return spent >= queue and cause(service, found, queue) or nil
  elseif found ~= UNNAMED and as_now >= limit then
    return cause(service, found, spent, limit)
  end
  return spent >= wait and cause(service, UNNAMED, wait) or nil
end

-- Returns whether a daemon takes the build; else what its client is told, or nothing where it is to come again.
local function await_daemon(backend)
  local service = os.getenv("SERVICE_" .. backend) or os.getenv("SERVICE")
  -- In all, for a place and for a daemon: it may be the one and the other by turns.
  local for_a_place, for_a_daemon = 0, 0
  local looked = now()
  local before, since, complained = nil, looked, looked
  while true do
    local found = look(core.backends[backend])
    if found == FREE then
      last[backend] = nil
      return true
    end
    local time = now()
    if last[backend] ~= nil and time - last[backend].time < REMEMBERED_SECONDS then
      return false, last[backend].words
    end
    -- The first look counts from its begin: it takes seconds where packets vanish.
    if before ~= nil and found ~= before then
      since = time
    end
    before = found
    if found == FULL then
      for_a_place = for_a_place + time - looked
    else
      for_a_daemon = for_a_daemon + time - looked
    end
    looked = time
    if is_replaced() and (found == UNTRUSTED or found ~= FULL and time - since >= OUTDATED_SECONDS) then
      return false
    end
    local spent = found == FULL and for_a_place or for_a_daemon
    local words = verdict(service, found, spent, time - since)
    if words ~= nil then
      last[backend] = { words = words, time = time }
      return false, words
    end
    if time - complained >= tell then
      complained = time
      core.log(core.notice, "a build waits: " .. cause(service, found, spent, time - since))
    end
    -- Not all at the same time, who would find the same place.
    core.msleep(found == FULL and math.random(300, 700) or 250)
  end
end

core.register_action("greet", { "tcp-req" }, function(txn)
  for _, file in ipairs(noted) do
    os.remove(file)
  end
  txn.res:send(grpc.SETTINGS)
  local backend = txn:get_var("txn.daemons") or "daemons"
  await_names(core.backends[backend])
  local is_taken, words = await_daemon(backend)
  if is_taken then
    return
  elseif words == nil then
    grpc.give_back(txn)
  else
    core.log(core.warning, "a build is refused: " .. words)
    grpc.refuse(txn, words)
  end
end)
