"""Stand-ins for Qencode and Livepeer Studio over real HTTP, for the demo and the tests.

Independent of the rest of the package on purpose: it must not share a misreading with the client.

Example:
    >>> from exporter.simulator import Life, Simulator
    >>> with Simulator(seed=1, life=Life()) as simulator:
    ...     simulator.livepeer_url.startswith("http://127.0.0.1:"), simulator.livepeer_key
    (True, 'simulated-livepeer-key')
"""

from exporter.simulator.answer import Request
from exporter.simulator.clock import SimulatedClock
from exporter.simulator.faults import Fault, FaultKind, Faults
from exporter.simulator.life import Life
from exporter.simulator.livepeer_status import LivepeerChange, LivepeerEvent
from exporter.simulator.livepeer_world import LivepeerAccount, LivepeerWorld
from exporter.simulator.qencode_status import OutputKind, QencodeOutput, QencodeStatus, QencodeWarning
from exporter.simulator.qencode_world import QencodeQuirks, QencodeWorld
from exporter.simulator.simulator import Simulator

__all__ = [
    "Fault",
    "FaultKind",
    "Faults",
    "Life",
    "LivepeerAccount",
    "LivepeerChange",
    "LivepeerEvent",
    "LivepeerWorld",
    "OutputKind",
    "QencodeOutput",
    "QencodeQuirks",
    "QencodeStatus",
    "QencodeWarning",
    "QencodeWorld",
    "Request",
    "SimulatedClock",
    "Simulator",
]
