"""Look for a metric of an exporter: HOST PORT PATH SCHEME METRIC; or, without PATH, an open port."""

import http.client
import socket
import ssl
import sys

host, port, path, scheme, metric = sys.argv[1:]
if not path:
    socket.create_connection((host, int(port)), timeout=10).close()
    sys.stdout.write(f"{host}:{port} is open\n")
    sys.exit()
# Not by urllib, which would ask a proxy.
connection = http.client.HTTPConnection(host, int(port), timeout=20)
if scheme == "https":
    # Whether the exporter works is asked, not who it is: its certificate may be for another name.
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(host, int(port), timeout=20, context=anybody)
connection.request("GET", path)
answer = connection.getresponse()
lines = answer.read().decode().splitlines()
shown = [line for line in lines if line.startswith(f"{metric}{{")]
sys.stdout.write("\n".join([f"{answer.status} {answer.reason}", *shown, ""]))
if answer.status != 200 or not shown:
    sys.exit(f"{host}:{port}{path} shows no {metric}")
