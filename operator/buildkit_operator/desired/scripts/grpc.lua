-- What HTTP/2 (RFC 9113), HPACK (RFC 7541) and gRPC look like in bytes, for who answers a client in a daemon's place.
grpc = {}

function grpc.frame(kind, flags, stream, payload)
  return string.pack(">I3BBI4", #payload, kind, flags, stream) .. payload
end

-- Without settings: after it a client counts as connected. The daemon's own follow, of which it may get any number.
grpc.SETTINGS = grpc.frame(4, 0, 0, "")

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

-- The answer to a call without a result: headers alone, with a status of gRPC (a number, as text) and a sentence.
function grpc.refusal(stream, status, words)
  local fields = "\x88" -- :status 200
    .. header("content-type", "application/grpc") .. header("grpc-status", status) .. header("grpc-message", words)
  return grpc.frame(1, 5, stream, fields)
end

-- Ends a client's first calls with FAILED_PRECONDITION, which no client tries again, and the connection (GOAWAY).
function grpc.refuse(txn, words)
  -- A client that has only just come makes its call when it has seen SETTINGS.
  core.msleep(1000)
  for stream = 1, 7, 2 do
    txn.res:send(grpc.refusal(stream, "9", words))
  end
  txn.res:send(grpc.frame(7, 0, 0, string.pack(">I4I4", 0x7fffffff, 0) .. words))
  txn:done()
end

-- Has a client make its connection anew: by GOAWAY none of its calls has begun, and it makes them again (section 6.8).
function grpc.give_back(txn)
  txn.res:send(grpc.frame(7, 0, 0, string.pack(">I4I4", 0, 0)))
  txn:done()
end

-- "/moby.buildkit.v1.Control/" and a method in HPACK: strings in Huffman's code, of 23 and 24 bytes.
local CONTROL = "\98\147\199\233\120\237\53\18\117\50\87\238\21\239\30\164\216\122\24"
grpc.PRUNE = "\151" .. CONTROL .. "\215\101\181\23"
grpc.SESSION = "\152" .. CONTROL .. "\220\84\32\199\171"
