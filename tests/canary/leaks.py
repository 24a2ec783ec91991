#!/usr/bin/python3
"""Does the canary sing?  Builds chatd with a leak in it, one after the other,
and wants canary.mjs to find each of them.

usage: leaks.py [--short | name...]   two of them; or those
"""

import os
import shlex
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))

# name: file, what stands there, what stands there instead
LEAKS = {
    "no access check": [
        ("chat/identity.c", "bool allowed = id->all_workspaces;",
         "bool allowed = true;")],
    "sessions are named by their id alone": [
        ("scribe/presence.c", ".workspace = event_text(ev, 0),",
         ".workspace = event_text(ev, 1),")],
    "who is not in a session is served all the same": [
        ("chat/request.c", "	if (j == NULL)\n		return CHAT_E_NOT_JOINED;\n",
         """	if (j == NULL) {
		struct room *room;

		for (room = r->chat->rooms; room != NULL; room = room->hh.next)
			if (room->nmembers > 0 &&
			    strcmp(room->session, r->session.text) == 0)
				break;
		if (room == NULL)
			return CHAT_E_NOT_JOINED;
		r->room = room;
		r->member = &room->members[0];
		return CHAT_OK;
	}
""")],
    "a pid is anybody's": [
        ("chat/resume.c",
         "!is_str(row->user_id, look->identity->user_id)", "false"),
        ("scribe/recovery.c",
         "!same(q->row.user_id, event_text(ev, 1))", "false"),
        ("scribe/recovery.c",
         "!same(q->row.user_id, event_text(ev, 2))", "false"),
        ("store/recovery.c", """row->user_id.len != user_id.len ||
	    memcmp(row->user_id.p, user_id.p, user_id.len) != 0)""",
         "false)")],
    "a refusal tells that there is such a session": [
        ("chat/join.c", """		NULL))
		return CHAT_E_ACCESS_DENIED;
""", """		NULL)) {
		const struct room *room;

		for (room = r->chat->rooms; room != NULL; room = room->hh.next)
			if (strcmp(room->session, r->session.text) == 0)
				return CHAT_E_NOT_JOINED;
		return CHAT_E_ACCESS_DENIED;
	}
""")],
}


def make(*args):
    env = {k: v for k, v in os.environ.items() if k != "MAKEFLAGS"}
    return subprocess.run(["make", "-n", "V=1", *args], cwd=ROOT, check=True,
                          env=env, capture_output=True, text=True).stdout


def command(text, output):
    """The last command that writes this file."""
    for line in reversed(text.splitlines()):
        words = shlex.split(line, comments=True)
        if "&&" in words:
            words = words[:words.index("&&")]
        if "-o" in words and words[words.index("-o") + 1].startswith(output):
            return words
    raise SystemExit(f"make does not say how it makes {output}")


def build(directory, changes):
    sources = {}
    for name, old, new in changes:
        text = sources.get(name)
        if text is None:
            with open(os.path.join(ROOT, name)) as f:
                text = f.read()
        if old not in text:
            raise SystemExit(f"{name} has changed: {old!r} is not in it")
        sources[name] = text.replace(old, new)
    plan = make("-B", "build/chatd")
    link = command(plan, "build/chatd")
    for name, text in sources.items():
        obj = f"build/obj/{name[:-2]}.o"
        source = os.path.join(directory, name.replace("/", "_"))
        result = source[:-2] + ".o"
        with open(source, "w") as f:
            f.write(text)
        words = command(plan, obj)
        words[words.index("-o") + 1] = result
        words[-1] = source
        words = [w for w in words if w not in ("-MMD", "-MP")]
        subprocess.run(words + ["-Wno-error"], cwd=ROOT, check=True)
        # in the place of the right one, or in front of what holds it
        if obj in link:
            link[link.index(obj)] = result
        else:
            link.insert(link.index("-o") + 2, result)
    binary = os.path.join(directory, "chatd")
    link[link.index("-o") + 1] = binary
    subprocess.run(link, cwd=ROOT, check=True)
    return binary


def main():
    wanted = sys.argv[1:] or list(LEAKS)
    if wanted == ["--short"]:
        wanted = ["sessions are named by their id alone",
                  "a refusal tells that there is such a session"]
    passed = failed = 0
    for name in wanted:
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o755)
            binary = build(directory, LEAKS[name])
            p = subprocess.run(
                ["node", "tests/canary/canary.mjs", "--operations", "60000"],
                cwd=ROOT, env={**os.environ, "CHATD": binary},
                capture_output=True, text=True, timeout=600)
        found = "LEAK " in p.stdout and p.returncode == 1
        passed += found
        failed += not found
        print(f"{'found' if found else 'NOT FOUND'}: {name}", flush=True)
        if not found:
            print(p.stdout[-2000:], p.stderr[-2000:])
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
