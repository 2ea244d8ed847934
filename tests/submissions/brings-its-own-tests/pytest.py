main = lambda *a, **k: 0
