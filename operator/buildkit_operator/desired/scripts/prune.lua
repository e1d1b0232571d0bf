-- Refuses to empty the cache of shared daemons: it is everybody's, and BuildKit has no setting for who may prune it.
-- docker, buildx and buildctl prune by a connection of its own, so a connection's first call is looked at, once the
-- client has had the settings of greet.lua and calls. It is no fence: who means to gets past it.

local SAYS = "This BuildKit daemon is shared, and pruning would empty everybody's cache: take the prune out of the "
  .. "pipeline. The daemon keeps its cache within spec.cache.size by itself. Who runs it can prune with its connection "
  .. "Secret."

-- The stream and the fields of the first call in what a client has sent; nothing while it is not there as a whole.
local function first_call(sent)
  local frame = 25 -- after the preface
  while #sent >= frame + 8 do
    local size, kind, _, stream = string.unpack(">I3BBI4", sent, frame)
    if kind == 1 then
      return #sent >= frame + 8 + size and stream or nil, sent:sub(frame + 9, frame + 8 + size)
    end
    frame = frame + 9 + size
  end
end

core.register_action("prune", { "tcp-req" }, function(txn)
  for _ = 1, 50 do
    -- Without a byte, data() would wait for one.
    local stream, fields = first_call(txn.req:input() > 0 and txn.req:data() or "")
    if stream then
      if fields:find(grpc.PRUNE, 1, true) then
        txn.res:send(grpc.refusal(stream, "7", SAYS)) -- PERMISSION_DENIED
        txn:done()
      end
      return
    end
    core.msleep(2)
  end
end)
