-- front.lua: bounds and counts the builds of a shared daemon.
-- A place is taken by a connection that has opened a session, as each build does, and by any in the first second after
-- its client has begun to speak. So a client that only asks for something, or is connected and idle, takes none.
-- A client that comes when there is no place is sent SETTINGS of HTTP/2, which keep it (gRPC gives a silent connection up
-- after 20 seconds), and waits for its turn; after QUEUE_SECONDS it is told so. Connectors come by OVERFLOW_PORT: while
-- there is no place they are refused there before TLS, and try the next daemon. The server gate/free is in maintenance as
-- long: rules for connections that are not yet open can ask for that, and for hardly anything else. Where both wait, places
-- go to the one and the other by turns.
-- FOLDER has a file for each process of HAProxy: how many builds it has, and how many clients wait; drain.sh reads them
-- too. One that was told to stop still has its builds and those who wait, who came first. The file `processes` has each
-- one's bound: that of the newest counts for all.
local limit = tonumber(os.getenv("MAX_BUILDS") or "")
local wait = tonumber(os.getenv("QUEUE_SECONDS"))
local daemon, folder = os.getenv("DAEMON"), os.getenv("FOLDER")
local overflow_port = tonumber(os.getenv("OVERFLOW_PORT"))

-- How long a connection counts that has opened no session, in seconds.
local GRACE_SECONDS = 1

-- How long one waits in the queue that no longer asks whether it is its turn: its client has gone.
local FORGOTTEN_SECONDS = 1

-- How long a place is kept for connectors when it is their turn: each looks every second whether there is one.
local TURN_SECONDS = 1.5

local places, queue, last = {}, {}, 0
-- What processes have of which some are older: builds, and clients that came before those of this one.
local builds_of_others, waiting_before = 0, 0
-- Whether the next place is the connectors', and since when there is one for them.
local is_their_turn, kept_since = false, nil
-- Whether the pod is to end, and its Service leads to another daemon, as it no longer does to this one.
local is_replaceable = false
local total = { builds = 0, queued = 0, refused = 0 }

local function now()
  local time = core.now()
  return time.sec + time.usec / 1000000
end

local function own_builds()
  local count, time = 0, now()
  for _, place in pairs(places) do
    if place.has_session or time - place.since < GRACE_SECONDS then
      count = count + 1
    end
  end
  return count
end

-- Those who wait, in the order in which they came.
local function waiting()
  local found, time = {}, now()
  for _, one in ipairs(queue) do
    if time - one.asked < FORGOTTEN_SECONDS then
      table.insert(found, one)
    end
  end
  queue = found
  return found
end

local function has_place()
  return limit == nil or own_builds() + builds_of_others < limit
end

-- How many connections were refused before TLS, those of connectors mostly.
local function refused()
  return tonumber(core.frontends["builds"]:get_stats()["dcon"]) or 0
end

-- Whether a place is kept for connectors though others wait for it.
local function is_kept()
  if not is_their_turn or not has_place() then
    kept_since = nil
    return false
  end
  kept_since = kept_since or now()
  if now() - kept_since >= TURN_SECONDS then
    is_their_turn, kept_since = false, nil
  end
  return is_their_turn
end

local gate, is_open = nil, true

-- What connectors see before TLS: no place also where others wait for it.
local function tell()
  if gate == nil then
    return
  end
  local open = has_place() and (#waiting() + waiting_before == 0 or is_kept())
  if open ~= is_open then
    is_open = open
    if open then gate:set_ready() else gate:set_maint() end
  end
end

-- Turns

local function leave(entry)
  for position, one in ipairs(queue) do
    if one == entry then
      table.remove(queue, position)
    end
  end
end

-- Waits for a place; false where none came free in time, nil where the client has gone or is to come again.
local function await_turn(txn)
  local entry, begun, refused_before = { asked = now() }, now(), refused()
  table.insert(queue, entry)
  total.queued = total.queued + 1
  tell()
  while txn.req:may_recv() do
    core.msleep(100)
    entry.asked = now()
    if has_place() and waiting_before == 0 and waiting()[1] == entry and not is_kept() then
      leave(entry)
      is_their_turn = refused() > refused_before
      return true
    end
    if entry.asked - begun >= wait then
      leave(entry)
      return false
    end
    if is_replaceable then
      leave(entry)
      return grpc.give_back(txn)
    end
  end
  leave(entry)
end

local function connects(address)
  local socket = core.tcp()
  socket:settimeout(1)
  local opened = socket:connect(address)
  socket:close()
  return opened ~= nil
end

-- A daemon that has just crashed is started again, and HAProxy may not have seen yet that it is not there.
local function await_daemon()
  for _ = 1, 100 do
    if connects(daemon) then
      return true
    end
    core.msleep(100)
  end
  return false
end

core.register_action("admit", { "tcp-req" }, function(txn)
  txn.res:send(grpc.SETTINGS)
  local is_connector = txn.f:dst_port() == overflow_port
  if not has_place() or #waiting() + waiting_before > 0 and not (is_connector and is_kept()) then
    local admitted = await_turn(txn)
    if admitted == false then
      total.refused = total.refused + 1
      grpc.refuse(txn, string.format(
        "this BuildKit daemon runs as many builds as it may, %d, and no place came free for %d seconds: raise replicas, "
          .. "maxBuilds or queueTimeoutSeconds in spec.shared of its builder", limit, wait))
    elseif admitted == nil then
      txn:done()
    end
  end
  if is_connector then
    is_their_turn = false
  end
  last = last + 1
  local number = last
  places[number] = { since = now(), has_session = false }
  txn:set_var("txn.place", number)
  tell()
  if not await_daemon() then
    places[number] = nil
    grpc.give_back(txn)
  end
end)

-- Sessions

local Builds = {}
Builds.__index = Builds

function Builds:new()
  return setmetatable({ before = "" }, Builds)
end

function Builds:start_analyze(_, channel)
  filter.register_data_filter(self, channel)
end

function Builds:tcp_payload(txn, channel)
  if channel:is_resp() then
    return
  end
  local place, sent = places[txn:get_var("txn.place")], channel:data(0, channel:input())
  if place == nil or type(sent) ~= "string" then
    return
  end
  local seen = self.before .. sent
  if string.find(seen, grpc.SESSION, 1, true) then
    place.has_session = true
    total.builds = total.builds + 1
    filter.unregister_data_filter(self, channel)
    tell()
  end
  self.before = string.sub(seen, -#grpc.SESSION)
end

-- Without a filter of data on the response this would be called at once.
function Builds:end_analyze(txn, channel)
  local number = txn:get_var("txn.place")
  if channel:is_resp() and number ~= nil then
    places[number] = nil
    tell()
  end
end

core.register_filter("builds", Builds, function(one) return one end)

-- Processes

local function read(path)
  local file = io.open(path)
  if file == nil then
    return nil
  end
  local text = file:read("a")
  file:close()
  return text
end

local function write(path, mode, text)
  local file = io.open(path, mode)
  if file ~= nil then
    file:write(text)
    file:close()
  end
end

-- Whether a process has not ended; one that has and is not waited for yet is a zombie (proc_pid_stat(5)).
local function is_alive(process)
  local state = (read("/proc/" .. process .. "/stat") or ""):match("%) (%a)")
  return state ~= nil and state ~= "Z"
end

-- Takes what other processes tell, and the bound of the newest.
local function hear_others(mine)
  local builds, before, is_older = 0, 0, true
  for process, bound in (read(folder .. "/processes") or ""):gmatch("(%d+) (%S+)") do
    local file = folder .. "/" .. process
    limit = tonumber(bound)
    if process == mine then
      is_older = false
    elseif is_alive(process) then
      local its_builds, its_waiting = (read(file) or ""):match("^(%d+) (%d+)")
      builds = builds + (tonumber(its_builds) or 0)
      before = before + (is_older and tonumber(its_waiting) or 0)
    else
      os.remove(file)
    end
  end
  builds_of_others, waiting_before = builds, before
end

core.register_task(function()
  gate = core.backends["gate"].servers["free"]
  local mine, told = tostring(core.get_info()["Pid"]), nil
  write(folder .. "/processes", "a", string.format("%s %s\n", mine, limit or "-"))
  while true do
    local said = string.format("%d %d\n", own_builds(), #waiting())
    if said ~= told then
      told = said
      write(folder .. "/" .. mine .. ".new", "w", said)
      os.rename(folder .. "/" .. mine .. ".new", folder .. "/" .. mine)
    end
    hear_others(mine)
    tell()
    core.msleep(100)
  end
end)

-- The end of the pod

core.register_task(function()
  local service = core.backends["others"].servers["service"]
  while true do
    core.msleep(1000)
    if #waiting() > 0 and read(folder .. "/draining") ~= nil then
      local is_known = string.find(service:get_stats()["status"], "^MAINT") == nil
      is_replaceable = is_known and connects(service:get_addr())
    end
  end
end)

-- Metrics

core.register_service("builds", "http", function(applet)
  local lines = {}
  local function add(name, kind, help, value)
    name = "buildkit_front_" .. name
    table.insert(lines, string.format("# HELP %s %s\n# TYPE %s %s\n%s %d\n", name, help, name, kind, name, value))
  end
  add("builds", "gauge", "Builds that run, by their clients' connections.", own_builds() + builds_of_others)
  add("builds_total", "counter", "Builds that have begun.", total.builds)
  add("queued", "gauge", "Clients that wait for a place.", #waiting())
  add("queued_total", "counter", "Clients that have waited for a place.", total.queued)
  add("refused_total", "counter", "Clients that have waited in vain.", total.refused)
  if limit ~= nil then
    add("max_builds", "gauge", "Builds that may run at one time.", limit)
  end
  local text = table.concat(lines)
  applet:set_status(200)
  applet:add_header("content-type", "text/plain; version=0.0.4")
  applet:add_header("content-length", #text)
  applet:start_response()
  applet:send(text)
end)
