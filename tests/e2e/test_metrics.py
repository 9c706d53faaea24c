"""posthouse metrics: every line is what Prometheus reads, the figures are those of `status`, and the page answers nobody but loopback."""
import re
import signal
import socket
import subprocess
import unittest
import urllib.error
import urllib.request

import house

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (-?[0-9.e+-]+)$')


def parse(text):
    """{(name, labels): value}; raises ValueError where the exposition format is not kept."""
    samples, types, done, last = {}, {}, set(), None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            if name in types or kind not in ("counter", "gauge"):
                raise ValueError(line)
            types[name] = kind
            continue
        m = SAMPLE.match(line)
        if not m or m[1] not in types or (m[1], m[2]) in samples or (m[1] != last and m[1] in done):
            raise ValueError(line)
        if (types[m[1]] == "counter") != m[1].endswith("_total"):
            raise ValueError(line)
        done.add(m[1])
        last = m[1]
        samples[m[1], m[2]] = float(m[3])
    return samples


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        net = house.network()  # nobody answers at .9
        cls.house = house.House("a.test", f"{net}.1", house.zone(("a.test", f"{net}.1"), ("sink.test", f"{net}.9")), retry_first="1h", retry_most="1h").start()
        cls.alice = cls.house.account("alice")
        with cls.house.submit(cls.alice) as s:
            s.sendmail(cls.alice, [cls.alice, "x@sink.test"], b"From: alice@a.test\r\nSubject: m\r\nMessage-ID: <m@a.test>\r\n\r\nbody\r\n")
        cls.house.steps("<m@a.test>", "deferred")
        cls.house.steps("<m@a.test>", "delivered")

    @classmethod
    def tearDownClass(cls):
        cls.house.stop()

    def serve(self):
        port = socket.create_server((self.house.ip, 0))
        number = port.getsockname()[1]
        port.close()
        run = subprocess.Popen([house.POSTHOUSE, "metrics", "--listen", f"{self.house.ip}:{number}", "--data", self.house.data], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(run.stdout.close)
        self.addCleanup(run.wait)
        self.addCleanup(run.kill)
        return run, run.stdout.readline().strip(), number

    def test_what_is_printed_is_what_status_says(self):
        samples = parse(self.house.admin("metrics"))
        self.assertEqual(samples["posthouse_up", None], 1)
        self.assertEqual(samples["posthouse_queue_waiting_letters", None], 1)
        self.assertEqual(samples["posthouse_queue_waiting_recipients", None], 1)
        self.assertEqual(samples["posthouse_queue_delivered_total", 'process="queue",instance="0"'], 1)
        for p in self.house.status()["processes"]:
            labels = f'process="{p["process"]}",instance="{p["instance"]}"'
            self.assertEqual(samples["posthouse_process_up", labels], 1)
            self.assertGreater(samples["posthouse_process_memory_bytes", labels], 100000)
            for name in p["counters"].keys() - {"uptime_ms", "memory_kib", "cpu_ms", "messages_in", "messages_out", "backlog_bytes"}:
                self.assertTrue(any((f"posthouse_{p['process']}_{name}{end}", labels) in samples for end in ("", "_total")), name)

    def test_the_page(self):
        run, url, number = self.serve()
        self.assertEqual(url, f"http://{self.house.ip}:{number}/metrics")
        with urllib.request.urlopen(url, timeout=60) as page:
            self.assertTrue(page.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
            self.assertEqual(parse(page.read().decode())["posthouse_up", None], 1)
        with self.assertRaises(urllib.error.HTTPError) as other:
            urllib.request.urlopen(url.replace("/metrics", "/etc/passwd"), timeout=60)
        self.assertEqual(other.exception.code, 404)
        other.exception.close()
        for request in (b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n", b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
                        b"GET /metrics HTTP/1.1\r\n" + b"A: b\r\n" * 20000 + b"\r\n", b"\x16\x03\x01\x00\xff" * 100):
            with socket.create_connection((self.house.ip, number), timeout=60) as s:
                try:
                    s.sendall(request)
                    s.shutdown(socket.SHUT_WR)
                    answer = s.recv(100)
                except OSError:  # closed before all of it was read
                    answer = b""
                self.assertNotIn(b" 200 ", answer)
        with urllib.request.urlopen(url, timeout=60) as page:
            self.assertIn(b"posthouse_up 1", page.read())
        run.send_signal(signal.SIGTERM)
        self.assertEqual(run.wait(60), 0)

    def test_nobody_but_loopback(self):
        for address in ("0.0.0.0:9125", "[::]:9125", "192.0.2.1:9125", "9125"):
            run = self.house.admin("metrics", "--listen", address, check=False)
            self.assertEqual(run.returncode, 64, address)
            self.assertIn("--listen", run.stderr)

    def test_a_server_that_is_down_is_told(self):
        down = house.folder()
        run = subprocess.run([house.POSTHOUSE, "metrics", "--data", down], capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, 69)
        self.assertEqual(parse(run.stdout), {("posthouse_up", None): 0})


if __name__ == "__main__":
    unittest.main()
