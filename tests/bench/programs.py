"""The proxies that are compared, and the upstream behind them: their configs, all with the same job, and how to start them.

The job: every host has two routes, `/api/` and the rest, each to an upstream of its own, over connections that are
kept; the client's address, scheme and host are told in `X-Forwarded-*`. HAProxy finds the route in one map, as ingress
controllers drive it; nginx has a server for each host."""

import os
import shutil
import socket
import subprocess
import time

PROXY_CORE, LOAD_CORE = "0", "1"
CONNECTIONS = 64

NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    server_names_hash_max_size 65536;
{http}
}}
"""

NGINX_PROXY = """
    upstream web {{ server 127.0.0.1:{up}; keepalive 128; keepalive_requests 1000000000; }}
    upstream api {{ server 127.0.0.1:{up}; keepalive 128; keepalive_requests 1000000000; }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host;
"""

NGINX_SITE = """
    server {{
        listen 127.0.0.1:{port};
        server_name {host};
        location /api/ {{ proxy_pass http://api; }}
        location / {{ proxy_pass http://web; }}
    }}
"""

HAPROXY = """
global
    nbthread 1
    maxconn 4096
    stats socket {folder}/control
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    option http-keep-alive
    http-reuse always
frontend main
    bind 127.0.0.1:{port}
    option forwardfor
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(Host)]
    use_backend %[base,map_beg({folder}/routes.map)]
backend web
    server a 127.0.0.1:{up} pool-max-conn -1
backend api
    server a 127.0.0.1:{up} pool-max-conn -1
"""

FAIRWAY_OPTIONS = """
{
    admin off
    auto_https off
}
"""

FAIRWAY_SITE = """
http://{host}:{port} {{
    bind 127.0.0.1
    reverse_proxy /api/* 127.0.0.1:{up}
    reverse_proxy 127.0.0.1:{up}
}}
"""


def hosts(count):
    """The names of that many hosts."""
    return [f"host-{number}.bench.test" for number in range(count)]


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Program:
    """A program that runs in a folder of its own until it is stopped."""

    def __init__(self, kind, count, asked, folder, up=None, binary=None, tool=()):
        self.kind, self.count, self.asked, self.port, self.folder = kind, count, asked, free_port(), folder
        os.makedirs(folder)
        # nginx gives up its rights, and still has to write here.
        os.chmod(folder, 0o777)
        command = getattr(self, f"_{kind}")(up, binary)
        core = LOAD_CORE if kind == "upstream" else PROXY_CORE
        with open(os.path.join(folder, "output"), "wb") as output:
            self.process = subprocess.Popen(["taskset", "-c", core, *tool, *command],
                                            stdout=output, stderr=subprocess.STDOUT)
        self._wait()

    def _write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def _upstream(self, _up, _binary):
        http = f"""    server {{ listen 127.0.0.1:{self.port} backlog=4096; location / {{ return 200 "hello\\n"; }} }}"""
        return ["nginx", "-c", self._write("nginx.conf", NGINX.format(folder=self.folder, http=http))]

    def _nginx(self, up, _binary):
        sites = (NGINX_SITE.format(host=host, port=self.port) for host in hosts(self.count))
        http = NGINX_PROXY.format(up=up) + "".join(sites)
        return ["nginx", "-c", self._write("nginx.conf", NGINX.format(folder=self.folder, http=http))]

    def _haproxy(self, up, _binary):
        lines = (f"{host}/api/ api\n{host}/ web\n" for host in hosts(self.count))
        self._write("routes.map", "".join(lines))
        config = HAPROXY.format(folder=self.folder, port=self.port, up=up)
        return ["haproxy", "-db", "-f", self._write("haproxy.cfg", config)]

    def _fairway(self, up, binary):
        sites = (FAIRWAY_SITE.format(host=host, port=self.port, up=up) for host in hosts(self.count))
        config = self._write("Caddyfile", FAIRWAY_OPTIONS + "".join(sites))
        return [binary, "run", "--config", config, "--adapter", "caddyfile", "--threads", "1"]

    def _wait(self):
        """Until it answers."""
        end = time.monotonic() + 300
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    with open(os.path.join(self.folder, "output"), errors="replace", encoding="utf-8") as output:
                        raise SystemExit(f"{self.kind} did not start:\n{output.read()[-2000:]}") from None
                time.sleep(0.05)

    def stop(self):
        """Ends it, and takes its folder away."""
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
