"""Print the names of the keys that the agent has, as `ssh-add -l` does."""

import os
import socket
import struct

agent = socket.socket(socket.AF_UNIX)
agent.connect(os.environ["SSH_AUTH_SOCK"])
agent.sendall(b"\0\0\0\1\x0b")
(length,) = struct.unpack(">I", agent.recv(4))
answer = b""
while len(answer) < length:
    answer += agent.recv(length - len(answer))
(count,) = struct.unpack(">I", answer[1:5])
print(count, "key" if b"ssh-ed25519" in answer else answer)
