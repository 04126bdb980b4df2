"""What aw-client does for watchers and scripts: python3 activitywatch.py <key> <host> <port> <start, ISO 8601>."""

import json
import sys
from datetime import datetime, timedelta

from aw_client import ActivityWatchClient
from aw_core.models import Event

key, host, port, start = sys.argv[1:]
start = datetime.fromisoformat(start)


def at(seconds):
    return start + timedelta(seconds=seconds)


def event(seconds, data, duration=0):
    return Event(timestamp=at(seconds), duration=timedelta(seconds=duration), data=data)


client = ActivityWatchClient("aw-watcher-window", host=f"agent:{key}@{host}", port=int(port))
client.wait_for_start()

# A script that has recorded an hour, half of it away from the keyboard.
client.create_bucket("aw-watcher-afk_py", "afkstatus")
client.create_bucket("aw-watcher-window_py", "currentwindow")
client.create_bucket("aw-watcher-window_py", "currentwindow")
client.insert_event("aw-watcher-window_py", event(0, {"app": "Editor", "title": "a.py"}, 3600))
client.insert_events("aw-watcher-afk_py", [event(1200, {"status": "afk"}, 1800)])

# A watcher, through the queue that survives it. The last heartbeat before another app is kept back by the client.
with client:
    client.create_bucket("aw-watcher-window_live", "currentwindow", queued=True)
    for second in range(0, 65, 5):
        app = "One" if second < 30 else "Two"
        beat = event(7200 + second, {"app": app, "title": app})
        client.heartbeat("aw-watcher-window_live", beat, pulsetime=6, queued=True, commit_interval=10)
    client.heartbeat("aw-watcher-window_live", event(7400, {"app": "Late", "title": ""}), pulsetime=6, queued=True)
    while client.request_queue._persistqueue.size > 0 or client.request_queue._current:
        client.request_queue.wait(0.05)

export = client.export_bucket("aw-watcher-window_live")
client.import_bucket(export["buckets"]["aw-watcher-window_live"])
events = client.get_events("aw-watcher-window_live")
client.set_setting("theme", "dark")
answer = client.query(
    """events = flood(query_bucket(find_bucket("aw-watcher-window_py")));
    afk = query_bucket("aw-watcher-afk_py");
    afk = filter_keyvals(afk, "status", ["afk"]);
    RETURN = {"window": sum_durations(events), "afk": sum_durations(filter_period_intersect(events, afk))};""",
    [(at(0), at(3600))],
)
print(
    json.dumps(
        {
            "buckets": sorted(client.get_buckets()),
            "count": client.get_eventcount("aw-watcher-window_live"),
            "events": [[e.data["app"], e.duration.total_seconds()] for e in events],
            "one": client.get_event("aw-watcher-window_live", events[0].id).data,
            "setting": client.get_setting("theme"),
            "query": answer,
        }
    )
)
client.delete_event("aw-watcher-window_live", events[0].id)
client.delete_bucket("aw-watcher-window_live", force=True)
