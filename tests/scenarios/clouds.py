"""Many clouds behind one AWS endpoint. The keys or the role in a request select the cloud that answers."""

import re
from typing import Any, Final
from urllib.parse import parse_qs
from weakref import WeakKeyDictionary

from aiohttp import web

from tests.codes.world import REGION, Door, World
from tests.fakecloud.aws import PretendAws
from tests.fakecloud.metadata import PATH

_KEY: Final = re.compile(r"Credential=([A-Z0-9]+)/")


class Clouds:
    """One cloud per fault of AWS. `instance` is the one whose metadata service answers."""

    def __init__(self, world: World) -> None:
        self._world: Final = world
        self._all: Final[list[PretendAws]] = []
        self._by_role: Final[dict[str, PretendAws]] = {}
        self._by_key: Final[dict[str, PretendAws]] = {}
        self.instance: Final = self.new()
        world.point_to_aws(self.instance, world.serve(self.handle))

    @classmethod
    def of(cls, world: World) -> "Clouds":
        """The clouds of a world. They are created for the first fault of AWS."""
        if world not in _OF:
            _OF[world] = cls(world)
        return _OF[world]

    def new(self, **arguments: Any) -> PretendAws:
        aws = PretendAws(region=REGION, **arguments)
        self._all.append(aws)
        if aws not in self._world.clouds:
            self._world.clouds.append(aws)
        return aws

    def with_keys(self, **arguments: Any) -> tuple[PretendAws, dict[str, str]]:
        """A new cloud, and the keys of its user as fields of a secret."""
        aws = self.new(**arguments)
        user = aws.add_user("ci")
        return aws, {"username": user.access_key_id, "password": user.secret_access_key}

    def answers_for_role(self, role_arn: str, aws: PretendAws) -> None:
        """Select a cloud by role, because AssumeRoleWithWebIdentity has no keys."""
        self._by_role[role_arn] = aws

    def answers_for_key(self, access_key_id: str, aws: PretendAws) -> None:
        """Select a cloud for a key that no cloud knows."""
        self._by_key[access_key_id] = aws

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        return await (await self._of(request)).handle(request)

    async def _of(self, request: web.BaseRequest) -> PretendAws:
        if request.path.startswith(PATH):
            return self.instance
        key = _KEY.search(request.headers.get("Authorization", ""))
        if key is None:
            fields = parse_qs((await request.read()).decode("utf-8", "replace"))
            return self._by_role.get(fields.get("RoleArn", [""])[0], self.instance)
        known = (aws for aws in self._all if aws.principals.find(key[1]) is not None)
        return self._by_key.get(key[1]) or next(known, self.instance)


def door_of(world: World, aws: PretendAws, **secret: str) -> Door:
    """Serve an ECR registry that accepts the tokens of this cloud."""
    return world.ecr(aws, "team-ecr", **secret)


_OF: Final[WeakKeyDictionary[World, Clouds]] = WeakKeyDictionary()
