-- Sends an empty SETTINGS frame of HTTP/2 (RFC 9113, section 6.5) to a client before there is a server: gRPC gives a
-- connection up that is silent for 20 seconds. The daemon's own follows, of which a client may get any number.
-- Then waits, for two seconds at most, until DNS has told where the daemons are: the first build of a pod would meet any
-- daemon by the Service, and not the one that has its cache.
core.register_action("greet", { "tcp-req" }, function(txn)
  txn.res:send("\0\0\0\4\0\0\0\0\0")
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
end)
