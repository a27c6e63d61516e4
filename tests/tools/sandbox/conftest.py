"""The simulated WhatsApp, and the real engine in a process of its own."""

from tests.support.sandboxed_engine import causes, led, number, pair, process, sandbox, start

__all__ = ["causes", "led", "number", "pair", "process", "sandbox", "start"]
