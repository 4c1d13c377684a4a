"""A program that is on PATH, but is not started."""

from dataclasses import dataclass
from pathlib import Path

from agent.model.commands import command, shown


@dataclass(frozen=True, slots=True)
class RejectedProgram:
    """Why the agent does not start `program`: others can write to the place `writable`, or it is not executable.

    `chmod` is the command that makes it executable, or None if its mode is not the cause.
    """

    program: Path
    writable: Path | None = None
    chmod: str | None = None

    @property
    def reason(self) -> str:
        fault = "it is not executable" if self.writable is None else f"others can write to {self.writable}"
        return f"{self.program} is not used: {fault}"

    @property
    def hint(self) -> str:
        if self.writable is None:
            if self.chmod is None:
                return f"check the mount options of {shown(self.program.parent)}: noexec there lets no program run"
            run = command(self.chmod, self.program)
            return f"make it executable: {run}" if run else f"make {shown(self.program)} executable"
        place, name = shown(self.writable), shown(self.program.name)
        return f"let only the agent's user and root write to {place}, or put {name} into another directory of PATH"
