"""Look whether an exporter serves its metrics: HOST PORT PATH; with an empty PATH, if the port is open."""

import http.client
import socket
import sys

host, port, path = sys.argv[1:]
if not path:
    socket.create_connection((host, int(port)), timeout=10).close()
    sys.stdout.write(f"{host}:{port} is open\n")
    sys.exit()
# Not by urllib, which would ask a proxy.
connection = http.client.HTTPConnection(host, int(port), timeout=20)
connection.request("GET", path)
answer = connection.getresponse()
lines = answer.read().decode().splitlines()
accounts = [line for line in lines if line.startswith("transcoding_up{")]
sys.stdout.write("\n".join([f"{answer.status} {answer.reason}", *accounts, ""]))
if answer.status != 200 or not accounts:
    sys.exit(f"{host}:{port}{path} shows no accounts")
