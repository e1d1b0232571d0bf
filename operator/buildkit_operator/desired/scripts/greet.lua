-- Sends an empty SETTINGS frame of HTTP/2 (RFC 9113, section 6.5) to a client before there is a server: gRPC gives a
-- connection up that is silent for 20 seconds. The daemon's own follows, of which a client may get any number.
core.register_action("greet", { "tcp-req" }, function(txn)
  txn.res:send("\0\0\0\4\0\0\0\0\0")
end)
