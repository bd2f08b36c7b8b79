"""What a panel does in a moment, when the messages that are waiting have been heard.

JupyterLab lets several threads of the kernel hear them (its subshells), each with an event loop of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakSet

SETTLE_S = 0.02  # a dragged slider sends many values; of those that came meanwhile only the last is drawn

#: Tasks whose call is still to come: what changes while a call runs, that call may not have seen.
_waiting: WeakSet[asyncio.Task] = WeakSet()


def soon(call: Callable[[], None], pending: asyncio.Task | None = None) -> asyncio.Task | None:
    """Let ``call`` happen once for all events that are waiting; at once where no event loop runs.

    Args:
        pending: what the last `soon` returned; as long as its call has not begun, there is no further one.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        call()
        return None
    if pending is not None and pending in _waiting and not pending.done():
        return pending
    task = loop.create_task(later(call))
    _waiting.add(task)
    return task


async def later(call: Callable[[], None], seconds: float = SETTLE_S) -> None:
    """Let ``call`` happen after what is waiting now."""
    await asyncio.sleep(seconds)
    _waiting.discard(asyncio.current_task())
    call()
