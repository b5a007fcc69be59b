# The same as connect.pl, for hosts without Perl; see there.
import socket, sys
seconds, port, addresses = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
address, why = "", "no address"
for address in addresses:
    try:
        socket.create_connection((address, port), seconds).close()
        print("open", address, sep="\t")
        sys.exit(0)
    except socket.timeout:
        why = "no answer within %d s" % seconds
    except OSError as error:
        why = error.strerror or str(error)
print("shut", address, why, sep="\t")
