-- Refuses to empty the cache of shared daemons: it is everybody's, and BuildKit has no setting for who may prune it.
-- docker, buildx and buildctl prune by a connection of its own, so a connection's first call is looked at, once the
-- client has had the settings of greet.lua and calls. It is no fence: who means to gets past it.

-- "/moby.buildkit.v1.Control/Prune" in HPACK (RFC 7541): a string of 23 bytes in Huffman's code.
local PRUNE = "\151\98\147\199\233\120\237\53\18\117\50\87\238\21\239\30\164\216\122\24\215\101\181\23"
local SAYS = "This BuildKit daemon is shared, and pruning would empty everybody's cache: take the prune out of the "
  .. "pipeline. The daemon keeps its cache within spec.cache.size by itself. Who runs it can prune with its connection "
  .. "Secret."

-- A string in HPACK, its length first, of 7 bits and then of 7 each.
local function text(value)
  if #value < 127 then
    return string.char(#value) .. value
  end
  local rest = #value - 127
  return string.char(127, rest % 128 + (rest > 127 and 128 or 0))
    .. (rest > 127 and string.char(rest // 128) or "")
    .. value
end

-- gRPC's answer to a call without a result: headers alone, the status PERMISSION_DENIED among them.
local function refusal(stream)
  local fields = "\136" -- :status 200
    .. "\0" .. text("content-type") .. text("application/grpc")
    .. "\0" .. text("grpc-status") .. text("7")
    .. "\0" .. text("grpc-message") .. text(SAYS)
  return string.pack(">I3BBI4", #fields, 1, 5, stream) .. fields
end

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
      if fields:find(PRUNE, 1, true) then
        txn.res:send(refusal(stream))
        txn:done()
      end
      return
    end
    core.msleep(2)
  end
end)
