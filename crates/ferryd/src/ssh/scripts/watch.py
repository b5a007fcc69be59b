# The same as watch.pl, for hosts without Perl; see there.
import os, select, sys
pid, start, pause = sys.argv[1], sys.argv[2].encode(), float(sys.argv[3])
def fields(handle):
    try:
        text = os.pread(handle, 4096, 0)
    except (FileNotFoundError, ProcessLookupError):
        return [b"gone"]
    except OSError:
        return [b"unknown"]
    return text.rpartition(b") ")[2].split() or [b"unknown"]
def exiting():
    try:
        threads = os.listdir("/proc/" + pid + "/task")
    except OSError:
        return False
    for thread in threads:
        try:
            handle = os.open("/proc/" + pid + "/task/" + thread + "/stat", os.O_RDONLY)
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError:
            return False
        now = fields(handle)
        os.close(handle)
        if now[0] != b"gone" and not (len(now) > 19 and int(now[6]) & 4):
            return False
    return len(threads) > 0
def gone():
    now = fields(leader)
    if now[0] == b"gone":
        return True
    if len(now) < 20:
        return False
    if now[19] != start or now[0] in (b"Z", b"X") and int(now[17]) < 2:
        return True
    return int(now[6]) & 4 and exiting() and exiting()
def say(word):
    os.write(1, word + b"\n")
try:
    leader = os.open("/proc/" + pid + "/stat", os.O_RDONLY)
except OSError:
    leader = -1
if leader < 0 or gone():
    say(b"ABSENT")
    sys.exit(0)
say(b"WATCHING")
while not gone():
    if select.select([0], [], [], pause)[0] and not os.read(0, 4096):
        sys.exit(0)
say(b"GONE")
