"""Where `make install` puts files, and what it does if it is run again, interrupted, or misused."""

import fcntl
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Final

import pytest

from agent import __version__
from tests.install.staging import ELSEWHERE, LIB, Checkout, Refused, copy, files, listing, version
from tests.rig.needs import need, need_root

ROOT: Final = Path(__file__).parents[2]
UNITS: Final = "usr/local/lib/systemd/system"
# An ordinary user who may read everything, because the checkout is in a closed directory.
NOBODY: Final = (
    *("setpriv", "--reuid=65534", "--clear-groups"),
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
)
# These are in the tree `elsewhere`.
OPT: Final = "opt/x"
OPT_LIB: Final = f"{OPT}/lib/registry-agent"
OPT_UNITS: Final = "etc/systemd/system"
STEPS: Final = "registry-agent@.service.d/10-restart-steps.conf"


def packages(tree: Path) -> set[str]:
    """Return the names of the distributions in the virtual environment."""
    infos = (tree / LIB / "lib").glob("python3.*/site-packages/*.dist-info")
    return {re.sub(r"[-_.]+", "-", info.stem.rpartition("-")[0]).lower() for info in infos}


def test_everything_is_where_its_readers_look(installed: Path) -> None:
    """Outside the virtual environment, there are only these files, with the same bytes as in the checkout."""
    share = "usr/local/share"
    expected = {
        f"{UNITS}/registry-agent@.service": "systemd/registry-agent@.service",
        f"{UNITS}/registry-agent@.socket": "systemd/registry-agent@.socket",
        "usr/local/lib/sysusers.d/registry-agent.conf": "systemd/registry-agent.sysusers",
        f"{share}/bash-completion/completions/registry-agent": "completions/bash/registry-agent",
        f"{share}/zsh/site-functions/_registry-agent": "completions/zsh/_registry-agent",
        f"{share}/fish/vendor_completions.d/registry-agent.fish": "completions/fish/registry-agent.fish",
        f"{share}/doc/registry-agent/LICENSE": "LICENSE",
        **{f"{share}/doc/registry-agent/{path.name}": path.name for path in ROOT.glob("*.md")},
        **{f"{share}/doc/registry-agent/docs/{path.name}": f"docs/{path.name}" for path in ROOT.glob("docs/*.md")},
        **{
            f"{share}/registry-agent/systemd/{path.name}": f"systemd/drop-ins/{path.name}"
            for path in ROOT.glob("systemd/drop-ins/*.conf")
        },
    }
    found = {str(path.relative_to(installed)) for path in files(installed)}
    outside = {path for path in found if not path.startswith(f"{LIB}.versions/")}
    assert outside == {*expected, f"{share}/registry-agent/manifest"}
    for path, source in expected.items():
        assert (installed / path).read_bytes() == (ROOT / source).read_bytes(), path


def test_the_environment_holds_what_the_lock_pins_and_nothing_that_builds(installed: Path) -> None:
    """It has no pip, setuptools or hatchling. Its only commands are the interpreter, the agent and its helper."""
    lock = (ROOT / "requirements.lock").read_text()
    pinned = {re.sub(r"[-_.]+", "-", name).lower() for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)}
    found = packages(installed)
    assert "registry-agent" in found
    assert found - {"registry-agent"} <= pinned
    assert not found & {"pip", "setuptools", "wheel", "hatchling", "editables"}
    commands = {path.name for path in (installed / LIB / "bin").iterdir()}
    assert {name for name in commands if not name.startswith("python")} == {
        "registry-agent",
        "docker-credential-registry-agent",
    }


def test_everybody_can_read_and_only_the_owner_can_write_whatever_the_umask(installed: Path) -> None:
    """The umask was 077. The checkout was closed and, if the tests run as root, belonged to another user."""
    for path in (installed, *installed.rglob("*")):
        seen = path.lstat()
        assert seen.st_uid == os.geteuid(), path
        if not path.is_symlink():
            must = 0o755 if path.is_dir() else 0o644
            assert stat.S_IMODE(seen.st_mode) in {must, 0o755}, (oct(seen.st_mode), path)


def test_it_runs_wherever_the_tree_is_moved_to(installed: Path, tmp_path: Path) -> None:
    """A copy of the tree runs at another path, and writes nothing."""
    moved = copy(installed, tmp_path / "moved")
    before = listing(moved)
    assert version(moved) == f"registry-agent {__version__}"
    assert listing(moved) == before
    shutil.rmtree(moved)


def test_no_file_names_a_place_of_the_building(installed: Path, checkout: Checkout) -> None:
    """No file, not even bytecode, has the path of the tree, the checkout, or a temporary directory."""
    traces = [str(place).encode() for place in (installed, checkout.path, checkout.path.parent)]
    tools = re.compile(rb"/tmp/tmp\.\w{10}")
    for path in files(installed):
        content = path.read_bytes()
        assert not any(trace in content for trace in traces), path
        assert not tools.search(content), path


def test_all_bytecode_exists(installed: Path) -> None:
    """The user who runs the agent cannot write bytecode, so each start would compile again."""
    sources = {path for path in (installed / f"{LIB}.versions").rglob("*.py") if "site-packages" in path.parts}
    compiled = {path.parent.parent / f"{path.name.partition('.')[0]}.py" for path in installed.rglob("*.pyc")}
    assert sources == compiled


def test_the_command_ignores_a_projects_python_path(installed: Path) -> None:
    """A project may also have an `agent` package, and a PYTHONPATH that finds it."""
    first = (installed / LIB / "bin/registry-agent").read_text().splitlines()[0]
    target = (installed / LIB).readlink()
    assert first == f"#!/usr/local/lib/{target}/bin/python -IXfaulthandler"
    assert len(first) < 127, "older kernels cut longer first lines"
    assert (installed / "usr/local/bin/registry-agent").resolve() == (installed / LIB / "bin/registry-agent").resolve()


def test_docker_finds_the_credential_helper_on_every_path(installed: Path, elsewhere: Path) -> None:
    """It is in /usr/bin for every prefix, and needs no other package."""
    helper = installed / LIB / "bin/docker-credential-registry-agent"
    target = (installed / LIB).readlink()
    assert helper.read_text().splitlines()[0] == f"#!/usr/local/lib/{target}/bin/python -ISE"
    name = "bin/docker-credential-registry-agent"
    assert (installed / "usr/local" / name).resolve() == helper.resolve()
    for tree, prefix in ((installed, "/usr/local"), (elsewhere, "/opt/x")):
        assert str((tree / "usr" / name).readlink()) == f"{prefix}/{name}"
    # The program has the final path, without DESTDIR.
    program = helper.read_text().replace("/usr/local", f"{installed}/usr/local")
    python = installed / LIB / "bin/python"
    done = subprocess.run([python, "-ISE", "-", "version"], input=program, capture_output=True, text=True, check=True)
    assert done.stdout == f"docker-credential-registry-agent (registry-agent) {__version__}\n"


def test_twice_changes_nothing(installed: Path, checkout: Checkout) -> None:
    """A second install needs no network, keeps all times and inodes, and reports this in one line."""
    before = listing(installed)
    for umask in (0o077, 0o002):
        said = checkout.make("install", installed, umask=umask, PIP_NO_INDEX="1")
        assert said.splitlines() == [
            f"install: registry-agent {__version__} is already installed in {installed}/usr/local; nothing changed"
        ]
        assert listing(installed) == before


def test_a_prefix_of_ones_own_is_in_every_path(elsewhere: Path) -> None:
    """Systemd does not search below this prefix, so the units go to /etc."""
    service = (elsewhere / "etc/systemd/system/registry-agent@.service").read_text()
    assert "ExecStart=/opt/x/lib/registry-agent/bin/registry-agent run" in service
    assert (elsewhere / "etc/sysusers.d/registry-agent.conf").exists()
    assert (elsewhere / "opt/x/lib/registry-agent/bin/registry-agent").read_text().startswith("#!/opt/x/lib/")
    for path in files(elsewhere):
        assert b"/usr/local/lib/registry-agent" not in path.read_bytes(), path
    assert {path.name for path in elsewhere.iterdir()} == {"etc", "opt", "usr"}
    assert [str(path.relative_to(elsewhere)) for path in (elsewhere / "usr").rglob("*") if not path.is_dir()] == [
        "usr/bin/docker-credential-registry-agent"
    ]


def test_restart_steps_are_for_a_systemd_that_knows_them(
    elsewhere: Path, installed: Path, small: Checkout, tmp_path: Path
) -> None:
    """Systemd 254 gets the drop-in, and 252 loses it again. If the version is unknown, there is no drop-in."""
    assert (elsewhere / "etc/systemd/system" / STEPS).read_bytes() == (
        ROOT / "systemd/drop-ins/restart-steps.conf"
    ).read_bytes()
    assert not (installed / UNITS / STEPS).exists()
    older = copy(elsewhere, tmp_path / "older")
    small.make("install", older, PREFIX="/opt/x", SYSTEMD_VERSION="252")
    assert not (older / "etc/systemd/system" / STEPS).parent.exists()
    shutil.rmtree(older)


def test_units_go_where_they_are_asked_to(elsewhere: Path, small: Checkout, tmp_path: Path) -> None:
    """UNITDIR wins. The units at the former location are removed, so no name exists twice."""
    tree = copy(elsewhere, tmp_path / "tree")
    small.make("install", tree, **ELSEWHERE, UNITDIR="/usr/lib/systemd/system")
    assert (tree / "usr/lib/systemd/system/registry-agent@.service").exists()
    assert not (tree / OPT_UNITS).exists()
    shutil.rmtree(tree)


def test_an_upgrade_that_fails_leaves_the_former_version_and_one_that_works_replaces_it(
    elsewhere: Path, tmp_path: Path
) -> None:
    """Without a network nothing changes and nothing is left over. With a network, the former version is removed."""
    tree = copy(elsewhere, tmp_path / "tree")
    before = listing(tree)
    newer = Checkout(tmp_path).need_only("tenacity")
    newer.change("agent/__init__.py", lambda text: text.replace(__version__, "1000.0.1"))
    newer.change("docs/settings.md", lambda text: text + "\nMore.\n")
    with pytest.raises(Refused, match="the version that was installed before is unchanged"):
        newer.make("install", tree, **ELSEWHERE, PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    changed = {path for path, traits in listing(tree).items() if before.get(path) != traits}
    assert changed <= {f"{OPT_LIB}.versions"}, "only the time of the directory that held the attempt"
    assert version(tree, OPT_LIB) == f"registry-agent {__version__}"

    newer.make("install", tree, **ELSEWHERE)
    assert version(tree, OPT_LIB) == "registry-agent 1000.0.1"
    assert len([*(tree / f"{OPT_LIB}.versions").iterdir()]) == 1
    assert (tree / OPT / "share/doc/registry-agent/docs/settings.md").read_text().endswith("More.\n")
    unit = f"{OPT_UNITS}/registry-agent@.service"
    assert listing(tree)[unit] == before[unit], "what is the same is not written again"
    shutil.rmtree(tree)


def test_a_first_install_that_fails_leaves_nothing(small: Checkout, tmp_path: Path) -> None:
    """No file and no directory is left."""
    with pytest.raises(Refused, match="No matching distribution"):
        small.make("install", tmp_path / "tree", PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert listing(tmp_path / "tree") == {}


def test_an_install_that_was_ended_in_the_middle_is_finished_by_the_next(
    elsewhere: Path, small: Checkout, tmp_path: Path
) -> None:
    """It adds missing files, repairs damaged ones, and removes the half-built version. It needs no network."""
    tree = copy(elsewhere, tmp_path / "tree")
    before = listing(tree)
    manifest = tree / OPT / "share/registry-agent/manifest"
    manifest.write_text(manifest.read_text().replace("state complete", "state unfinished"))
    (tree / OPT / "bin/registry-agent").unlink()
    (tree / OPT_UNITS / "registry-agent@.service").write_text("half a uni")
    (tree / OPT_UNITS / "registry-agent@.socket").chmod(0o600)
    (tree / f"{OPT_LIB}.versions/1.0.1-half").mkdir()
    small.make("install", tree, **ELSEWHERE, PIP_NO_INDEX="1")
    assert {path: (traits[0], traits[5:]) for path, traits in listing(tree).items()} == {
        path: (traits[0], traits[5:]) for path, traits in before.items()
    }
    shutil.rmtree(tree)


def test_uninstall_takes_what_was_put_and_nothing_else(elsewhere: Path, small: Checkout, tmp_path: Path) -> None:
    """A person's own files stay, with their directories. A second uninstall is not an error."""
    tree = copy(elsewhere, tmp_path / "tree")
    own = {
        "etc/registry-agent/config.toml",
        "etc/systemd/system/registry-agent@.service.d/own.conf",
        f"{OPT}/lib/own",
        f"{OPT}/bin/other",
        "var/lib/registry-agent/ada/state.json",
    }
    for name in own:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("own")
    said = small.make("uninstall", tree, **ELSEWHERE)
    assert "kept: settings and drop-ins in /etc, state in /var/lib/registry-agent" in said
    assert {str(path.relative_to(tree)) for path in files(tree)} == own
    assert not [path for path in tree.rglob("*") if path.is_symlink()]
    assert not (tree / OPT / "share").exists()
    assert "nothing is installed" in small.make("uninstall", tree, **ELSEWHERE)
    assert {str(path.relative_to(tree)) for path in files(tree)} == own


def _tree_with(tmp_path: Path, *lines: str) -> Path:
    """Make a tree with only a manifest, and return the manifest's path."""
    manifest = tmp_path / "tree/usr/local/share/registry-agent/manifest"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("\n".join(["state complete", *lines, ""]))
    return manifest


@pytest.mark.parametrize("target", ["install", "uninstall"])
@pytest.mark.parametrize("trait", ["owner", "mode"])
def test_a_manifest_that_another_user_can_write_is_not_trusted(
    checkout: Checkout, tmp_path: Path, target: str, trait: str
) -> None:
    """Root removes what the manifest lists. If the prefix is in a home directory, its user could list anything."""
    manifest = _tree_with(tmp_path, "file /usr/local/bin/other")
    other = tmp_path / "tree/usr/local/bin/other"
    other.parent.mkdir()
    other.touch()
    if trait == "owner":
        need_root("to give the file to another user")
        os.chown(manifest, 65534, 65534)
    else:
        manifest.chmod(0o664)
    with pytest.raises(Refused, match="another user can write to"):
        checkout.make(target, tmp_path / "tree", PIP_NO_INDEX="1")
    assert other.exists()


@pytest.mark.parametrize("path", ["/../victim", "/usr/local/../../../victim", "victim", "/out/victim"])
def test_a_manifest_leads_to_nothing_outside_the_tree(checkout: Checkout, tmp_path: Path, path: str) -> None:
    """Neither `..` nor a link leads out. In that case nothing is removed, not even inside the tree."""
    _tree_with(tmp_path, "file /usr/local/bin/other", f"file {path}")
    victim, other = tmp_path / "victim", tmp_path / "tree/usr/local/bin/other"
    other.parent.mkdir()
    (tmp_path / "tree/out").symlink_to(tmp_path)
    for file in (victim, other):
        file.touch()
    with pytest.raises(Refused, match="is outside"):
        checkout.make("uninstall", tmp_path / "tree")
    assert victim.exists()
    assert other.exists()


def test_the_versions_are_not_removed_through_a_link_out_of_the_tree(checkout: Checkout, tmp_path: Path) -> None:
    """The uninstall removes the directory of all versions recursively, so it must be in the tree."""
    _tree_with(tmp_path)
    victim = tmp_path / "out/registry-agent.versions/victim"
    victim.parent.mkdir(parents=True)
    victim.touch()
    (tmp_path / "tree/usr/local/lib").symlink_to(tmp_path / "out")
    with pytest.raises(Refused, match="is outside"):
        checkout.make("uninstall", tmp_path / "tree")
    assert victim.exists()


def test_uninstall_leaves_an_empty_tree(installed: Path, elsewhere: Path, checkout: Checkout, tmp_path: Path) -> None:
    """If the tree was empty before the install, it is empty again. This includes files that only some installs have."""
    for tree, prefix in ((installed, "/usr/local"), (elsewhere, "/opt/x")):
        gone = copy(tree, tmp_path / "gone")
        checkout.make("uninstall", gone, PREFIX=prefix)
        assert listing(gone) == {}
        gone.rmdir()


@pytest.mark.parametrize("target", ["install", "uninstall"])
def test_only_root_changes_the_system(target: str, checkout: Checkout) -> None:
    """Another user gets the command that works, before anything is changed."""
    with pytest.raises(Refused, match=f"sudo make {target}"):
        checkout.run([*(NOBODY if os.geteuid() == 0 else ()), f"scripts/{target}.sh"], PIP_NO_INDEX="1")


@pytest.mark.parametrize("prefix", ["usr", "./x", "/opt/a b", "/opt/100%", "/opt/x;y"])
def test_a_prefix_that_units_cannot_name_is_refused(prefix: str, checkout: Checkout, tmp_path: Path) -> None:
    """It would appear in units and in the first lines of scripts, which do not support quotes."""
    with pytest.raises(Refused, match="PREFIX must be an absolute path"):
        checkout.make("install", tmp_path / "tree", PREFIX=prefix)
    assert not (tmp_path / "tree").exists()


def test_a_relative_destination_is_below_the_directory_of_make(installed: Path, checkout: Checkout) -> None:
    """A path relative to the checkout finds the same installed tree."""
    relative = os.path.relpath(installed, checkout.path)
    said = checkout.make("install", relative)
    assert f"is already installed in {installed}/usr/local" in said


def test_an_interpreter_that_other_users_cannot_reach_is_refused(checkout: Checkout, tmp_path: Path) -> None:
    """An interpreter in a closed home directory, as from a version manager, would work for root but for no agent."""
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    home.chmod(0o700)
    hidden = home / "bin/python3"
    shutil.copy2(Path("/usr/bin/python3").resolve(), hidden)
    with pytest.raises(Refused, match=r"which other users cannot access.*PYTHON"):
        checkout.make("install", tmp_path / "tree", PYTHON=str(hidden))
    assert not (tmp_path / "tree").exists()


def test_without_a_python_that_is_new_enough_it_says_what_to_do(checkout: Checkout, tmp_path: Path) -> None:
    """The message names the version found, the version needed, and the image that needs no Python."""
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\necho is Python 3.9\nexit 1\n")
    old.chmod(0o755)
    with pytest.raises(Refused, match=r"is Python 3\.9\. The agent needs Python 3\.11 or newer.*container image"):
        checkout.make("install", tmp_path / "tree", PYTHON=str(old))


def test_two_at_once_do_not_mix(installed: Path, checkout: Checkout) -> None:
    """The second one fails at once, and reports why."""
    held = os.open(installed / "usr/local", os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        for target in ("install", "uninstall"):
            with pytest.raises(Refused, match="another install or uninstall is running"):
                checkout.make(target, installed)
    finally:
        os.close(held)


def test_what_is_not_ours_is_not_replaced(checkout: Checkout, tmp_path: Path) -> None:
    """A directory at the path of the link may contain a person's work."""
    (tmp_path / LIB).mkdir(parents=True)
    with pytest.raises(Refused, match="make install did not create it"):
        checkout.make("install", tmp_path)


@pytest.mark.parametrize("name", ["registry-agent", "docker-credential-registry-agent"])
def test_a_program_of_another_installation_is_not_replaced(checkout: Checkout, tmp_path: Path, name: str) -> None:
    """If the archive is installed in the same prefix, both would have the same files."""
    program = tmp_path / "usr/local/bin" / name
    program.parent.mkdir(parents=True)
    program.write_text("theirs")
    with pytest.raises(Refused, match=f"{name} belongs to another installation"):
        checkout.make("install", tmp_path)
    assert program.read_text() == "theirs"


def test_the_link_of_another_installation_in_usr_bin_stays(elsewhere: Path, small: Checkout, tmp_path: Path) -> None:
    """An install over it works without that link, and the uninstall leaves it."""
    tree = copy(elsewhere, tmp_path / "tree")
    link, target = tree / "usr/bin/docker-credential-registry-agent", tmp_path / "of-a-package"
    target.touch()
    link.unlink()
    link.symlink_to(target)
    (tree / OPT / "share/registry-agent/manifest").write_text("state unfinished\n")
    assert f"{link} belongs to another installation, and stays" in small.make("install", tree, **ELSEWHERE)
    assert "nothing changed" in small.make("install", tree, **ELSEWHERE)
    assert link.readlink() == target
    small.make("uninstall", tree, **ELSEWHERE)
    assert [*files(tree)] == []
    assert link.readlink() == target


def test_an_install_goes_on_where_usr_is_read_only(elsewhere: Path, small: Checkout, tmp_path: Path) -> None:
    """It says who cannot find docker's helper. The next run adds it. An uninstall that may not remove it goes on."""
    need("unshare", "mount")
    tree = copy(elsewhere, tmp_path / "tree")
    link, manifest = tree / "usr/bin/docker-credential-registry-agent", tree / OPT / "share/registry-agent/manifest"
    link.unlink()
    manifest.write_text(manifest.read_text().replace("state complete", "state unfinished"))
    said = _make_with_read_only_usr("install", small, tree)
    assert f"without {link}, only programs with /opt/x/bin on their PATH can get logins from memory" in said
    assert manifest.read_text().startswith("state complete\n")
    assert "nothing changed" in _make_with_read_only_usr("install", small, tree)
    small.make("install", tree, **ELSEWHERE)
    assert str(link.readlink()) == "/opt/x/bin/docker-credential-registry-agent"
    assert "removed registry-agent" in _make_with_read_only_usr("uninstall", small, tree)
    assert [path for path in tree.rglob("*") if not path.is_dir()] == [link]


def _make_with_read_only_usr(target: str, checkout: Checkout, tree: Path) -> str:
    script = 'mount --bind "$1/usr" "$1/usr" && mount -o remount,ro,bind "$1/usr" && shift && exec make "$@"'
    settings = [f"{name}={value}" for name, value in {"DESTDIR": tree, **ELSEWHERE}.items()]
    return checkout.run(["unshare", "--mount", "sh", "-ec", script, "sh", str(tree), target, *settings])


def test_make_can_be_asked_what_it_would_do(checkout: Checkout, tmp_path: Path) -> None:
    """`make -n` does nothing."""
    for target in ("install", "uninstall"):
        checkout.run(["make", "-n", target, f"DESTDIR={tmp_path / 'tree'}"])
    assert not (tmp_path / "tree").exists()


def test_uninstall_also_takes_what_a_killed_first_install_left(checkout: Checkout, tmp_path: Path) -> None:
    """It was killed before it wrote its manifest, but its unfinished version is removed."""
    built = tmp_path / f"{LIB}.versions/1.0.0-unfinished"
    built.mkdir(parents=True)
    (built / "pyvenv.cfg").touch()
    checkout.make("uninstall", tmp_path)
    assert not built.parent.exists()
    assert "nothing is installed" in checkout.make("uninstall", tmp_path)
