"""An editor that empties config.json, and writes it only after a while."""

import threading
import time
from pathlib import Path

from agent.edge.docker_config import DockerConfigFile
from tests.torture.config_json.documents import faults_of, lay, others, parse
from tests.torture.config_json.lines import KEY, put_ours

_STALLED_S = 0.8


async def test_a_file_that_was_emptied_just_now_is_waited_for(tmp_path: Path) -> None:
    """It does not count as empty. If the agent replaced it, the editor would write into a file that is deleted."""
    config = DockerConfigFile(tmp_path)
    lay(config.path)
    text = config.path.read_text()
    emptied = threading.Event()

    def editor() -> None:
        with config.path.open("w") as file:
            emptied.set()
            time.sleep(_STALLED_S)
            file.write(text)

    thread = threading.Thread(target=editor)
    thread.start()
    emptied.wait()
    await config.update(put_ours)
    thread.join()
    assert not faults_of(config.path, others(parse(text.encode()), [KEY]), [KEY])
