"""A program that is on PATH, but is not started."""

from dataclasses import dataclass
from pathlib import Path

from agent.model.commands import command, shown


@dataclass(frozen=True, slots=True)
class RejectedProgram:
    """Why the agent does not start `program`: others can write to the place `writable`, or it is not executable."""

    program: Path
    writable: Path | None = None

    @property
    def reason(self) -> str:
        fault = "it is not executable" if self.writable is None else f"others can write to {self.writable}"
        return f"{self.program} is not used: {fault}"

    @property
    def hint(self) -> str:
        if self.writable is None:
            run = command("chmod +x", self.program)
            return f"make it executable: {run}" if run else f"make {shown(self.program)} executable"
        place, name = shown(self.writable), shown(self.program.name)
        return f"let only the agent's user and root write to {place}, or put {name} into another directory of PATH"
