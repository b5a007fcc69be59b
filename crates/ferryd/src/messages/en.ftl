# What Ferry says in English. Names in braces are variables; catalogue.rs has them all.

## Kimchi's, of virtual machines. Their English is Kimchi's own: programs read it. Where Ferry knows more, that follows.

KCHVM0001E = Virtual machine { $name } already exists
KCHVM0002E = Virtual machine { $name } does not exist
KCHVM0004E = Unable to retrieve screenshot for stopped virtual machine { $name }
KCHVM0006E = Screenshot is not supported on virtual machine { $name }: { $details }
KCHVM0007E = Unable to create virtual machine { $name }. Details: { $details }
KCHVM0008E = Unable to update virtual machine { $name }. Details: { $details }
KCHVM0009E = Unable to retrieve virtual machine { $name }. Details: { $details }
KCHVM0010E = Unable to connect to powered off virtual machine { $name }.
KCHVM0011E = Virtual machine name must be a string without slashes (/)
KCHVM0014E = Supported virtual machine graphics are Spice or VNC
KCHVM0015E = Graphics address to listen on must be IPv4 or IPv6
KCHVM0019E = Unable to start virtual machine { $name }. Details: { $details }
KCHVM0020E = Unable to power off virtual machine { $name }. Details: { $details }
KCHVM0021E = Unable to delete virtual machine { $name }. Details: { $details }
KCHVM0022E = Unable to reset virtual machine { $name }. Details: { $details }
KCHVM0023E = User name list must be an array
KCHVM0024E = User name must be a string
KCHVM0025E = Group name list must be an array
KCHVM0026E = Group name must be a string
KCHVM0029E = Unable to shutdown virtual machine { $name }. Details: { $details }
KCHVM0033E = Virtual machine '{ $name }' must be stopped before cloning it.
KCHVM0034E = Insufficient disk space to clone virtual machine '{ $name }'
KCHVM0035E = Unable to clone VM '{ $name }'. Details: { $details }
KCHVM0036E = Invalid operation for non-persistent virtual machine { $name }
KCHVM0037E = Cannot suspend VM '{ $name }' because it is not running.
KCHVM0038E = Unable to suspend VM '{ $name }'. Details: { $details }
KCHVM0039E = Cannot resume VM '{ $name }' because it is not paused.
KCHVM0040E = Unable to resume VM '{ $name }'. Details: { $details }
KCHVM0041E = Memory assigned is higher then the maximum allowed in the host: { $maxmem }Mib.
KCHVM0048E = Cannot start { $name }. Virtual machine is already running.
KCHVM0049E = Cannot power off { $name }. Virtual machine is shut off.
KCHVM0050E = Cannot shutdown { $name }. Virtual machine is shut off.
KCHVM0051E = Cannot reset { $name }. Virtual machine is already shut off.
KCHVM0055E = Migrate to localhost { $host } is not allowed.
KCHVM0056E = To migrate a virtual machine to the remote host { $host } the user { $user } must have password-less login to the remote host.
KCHVM0057E = Can not migrate virtual machine { $name }: { $details }
KCHVM0058E = Failed to migrate virtual machine { $name } due error: { $details }
KCHVM0059E = User name of the remote server must be a string.
KCHVM0060E = Destination host of the migration must be a string.
KCHVM0064E = Can not migrate virtual machine { $name } to { $host }: { $details }
KCHVM0065E = Can not migrate virtual machine { $name } to { $host }: { $details }
KCHVM0066E = Unable to connect to the remote host { $host }: { $details }
KCHVM0069E = Password field must be a string.
KCHVM0074E = Unable to update the following parameters while the VM is online: { $changes }
KCHVM0076E = VM { $name } must have serial and console defined to open a web serial console: { $details }
KCHVM0077E = Impossible to get the serial console of { $name }: { $details }
KCHVM0085E = Virtual machine title must be a string
KCHVM0086E = Virtual machine description must be a string
KCHVM0091E = 'enable_rdma' must be of type boolean (true or false).
KCHVMHDEV0001E = VM { $name } does not contain directly assigned host device { $device }.
KCHVMHDEV0002E = The host device { $device } is not allowed to directly assign to VM.
KCHVMHDEV0003E = No IOMMU groups found. Host PCI pass through needs IOMMU group to function correctly. Please enable Intel VT-d or AMD IOMMU in your BIOS, then verify the Kernel is compiled with IOMMU support. For Intel CPU, add 'intel_iommu=on' to GRUB_CMDLINE_LINUX parameter in /etc/default/grub file. For AMD CPU, add 'iommu=pt iommu=1'.
KCHVMHDEV0004E = "name" should be a device name string
KCHVMHDEV0006E = Hot-(un)plug of device { $device } is not supported.
KCHVMHDEV0007E = Failed to attach { $device } to { $name }. Details: { $details }
KCHHOST0003E = Node device '{ $device }' not found

## Kimchi's, of what a machine is made of.

KCHTMPL0002E = Source media { $path } not found
KCHTMPL0003E = Network '{ $network }' specified for template { $name } does not exist
KCHTMPL0004E = Storage pool { $pool } specified for template { $name } does not exist
KCHTMPL0007E = Network { $network } specified for template { $name } is not active
KCHTMPL0012E = The number of CPUs must be an integer greater than 0: { $details }
KCHTMPL0013E = { $details }
KCHTMPL0014E = Template CDROM must be a local or remote ISO file
KCHTMPL0015E = { $details }
KCHTMPL0017E = All networks for the template must be specified in a list.
KCHTMPL0018E = Specify a volume to a template when storage pool is iSCSI or SCSI: { $details }
KCHTMPL0019E = The volume { $volume } is not in storage pool { $pool }
KCHTMPL0022E = { $details }
KCHTMPL0027E = { $details }
KCHTMPL0028E = { $details }
KCHTMPL0029E = Disk format must be 'raw', for logical, iscsi, and scsi pools.
KCHTMPL0030E = Memory expects an object with one or both parameters: 'current' and 'maxmemory': { $details }
KCHTMPL0031E = Memory value ({ $memory }MiB) must be equal or lesser than maximum memory value ({ $most }MiB)
KCHCPUINF0001E = The number of vCPUs must be less than or equal the maximum number of vCPUs specified.
KCHCPUINF0004E = The maximum number of vCPUs is too large for this system: { $details }
KCHCPUINF0008E = Parameter 'cpu_info' expects an object with fields among: 'vcpus', 'maxvcpus', 'topology'.

## Kimchi's, of snapshots.

KCHSNAP0002E = Unable to create snapshot '{ $snapshot }' on virtual machine '{ $name }'. Details: { $details }
KCHSNAP0003E = Snapshot '{ $snapshot }' does not exist on virtual machine '{ $name }'.
KCHSNAP0004E = Unable to retrieve snapshot '{ $snapshot }' on virtual machine '{ $name }'. Details: { $details }
KCHSNAP0005E = Unable to list snapshots on virtual machine '{ $name }'. Details: { $details }
KCHSNAP0006E = Unable to delete snapshot '{ $snapshot }' on virtual machine '{ $name }'. Details: { $details }
KCHSNAP0008E = Unable to retrieve current snapshot of virtual machine '{ $name }'. Details: { $details }
KCHSNAP0009E = Unable to revert virtual machine '{ $name }' to snapshot '{ $snapshot }'. Details: { $details }
KCHSNAP0010E = Unable to create snapshot of virtual machine '{ $name }' because it contains a disk with format '{ $format }'; only 'qcow2' is supported.

## Kimchi's server's (Wok).

WOKAPI0006E = Unable to parse JSON request
WOKAPI0007E = This API only supports JSON
WOKAPI0008E = Parameters does not match requirement in schema: { $details }
WOKAPI0009E = You don't have permission to perform this operation.
WOKASYNC0001E = Unable to find task id: { $task }
WOKAUTH0001E = Authentication failed for user '{ $user }'. [Error code: 7]
WOKAUTH0002E = You are not authorized to access Wok. Please, login first.
WOKAUTH0004E = You have failed to login in too much attempts. Please, wait for { $seconds } seconds to try again.
WOKAUTH0007E = You need to specify username and password to login into Wok.
WOKAUTH0008E = The username or password you entered is incorrect. Please try again

## What Kimchi's server said without an id, and so is told without one.

FERRYAPI0001E = Client must specify Content-Length
FERRYAPI0002E = Nothing matches the given URI
FERRYAPI0003E = Specified method is invalid for this resource

## What stands in the page on which one logs in.

FERRYPAGE0001I = Log in to Ferry
FERRYPAGE0002I = User name
FERRYPAGE0003I = Password
FERRYPAGE0004I = Log in
FERRYPAGE0005I = The server does not answer. Please try again.
FERRYPAGE0006I = This page needs JavaScript.

## What Kimchi had no word for.

FERRYAPI0004E = The request was not carried out: { $details }
FERRYAPI0005E = The body is larger than { $bytes } bytes
FERRYAUTH0001E = The system did not say whether the password is right; the server's log has why.
FERRYHDEV0001E = Unable to list the host devices of { $name }. Details: { $details }
FERRYHDEV0002E = Failed to detach { $device } from { $name }. Details: { $details }
FERRYVM0001E = A console is a WebSocket: the request must ask for an upgrade to one
FERRYVM0002E = The console of { $name } was not opened: { $details }
FERRYVM0003E = To migrate a virtual machine to the remote host { $host } the user { $user } must have password-less login to the remote host. { $details }
FERRYVM0004E = { KCHVM0059E } { $details }
FERRYVM0005E = { KCHVM0060E } { $details }
FERRYVM0006E = { KCHVM0069E } { $details }
FERRYVM0007E = { KCHVM0091E } { $details }

## What tasks are at; the English of Kimchi's is to the letter.

FERRYTASK0001I = starting a migration
FERRYTASK0002I = Migrate finished
FERRYTASK0003I = Migrate cancelled
FERRYTASK0004I = reading source VM XML
FERRYTASK0005I = copying VM disks
FERRYTASK0006I = defining new VM
FERRYTASK0007I = Clone cancelled
FERRYTASK0008I = creating snapshot
FERRYTASK0009I = Snapshot cancelled
FERRYTASK0010I = OK
FERRYTASK0011I = Defining new VM
FERRYTASK0012I = Provisioning storage for new VM
FERRYTASK0013I = Creation cancelled
FERRYTASK0014I = Attaching device to VM
FERRYTASK0015I = Attaching cancelled
FERRYTASK0016I = Detaching device
FERRYTASK0017I = Detaching cancelled

## What does not fit a schema.

FERRYSCHEMA0001I = { $value } is not of type '{ $kind }'
FERRYSCHEMA0002I = { $value } is less than the minimum of { $least }
FERRYSCHEMA0003I = { $value } is greater than the maximum of { $most }
FERRYSCHEMA0004I = '{ $value }' is too short
FERRYSCHEMA0005I = '{ $value }' is too long
FERRYSCHEMA0006I = '{ $value }' does not match '{ $pattern }'
FERRYSCHEMA0007I = { $value } has non-unique elements
FERRYSCHEMA0008I = Additional properties are not allowed ('{ $keys }' { $count ->
        [one] was
       *[other] were
    } unexpected)
FERRYSCHEMA0009I = '{ $key }' is a required property
FERRYSCHEMA0010I = more than one of { $choices } is given
FERRYSCHEMA0011I = { $keys } must not be given together
FERRYSCHEMA0012I = the arguments after the '?' cannot be read
FERRYSCHEMA0013I = 'disks' must be 'all', or names of disks (vda,vdb)
FERRYSCHEMA0014I = 'nvram' must be 'true' or 'false'
FERRYSCHEMA0015I = { $value } is too long
FERRYSCHEMA0016I = there can be at most { $most } filters of at most { $longest } characters each
FERRYSCHEMA0017I = '{ $value }' is too large as a regular expression

## Why something was not done to a machine, or not wholly. 'It' is the machine.

FERRYWHY0001I = no host that answers has a virtual machine of this name
FERRYWHY0002I = it is being made, moved or cloned, a snapshot of it made, or a device given or taken; nothing was done (`ferry task watch { $task }` shows how far that is)
FERRYWHY0003I = something else is being done to it; nothing was done, try it again
FERRYWHY0004I = a job of libvirt's is at work on it (a migration, a save, a backup); nothing was done
FERRYWHY0005I = it is { $state }; nothing was done
FERRYWHY0006I = it runs on { $host } already; nothing was done
FERRYWHY0007I = what { $host } has of it was left by a migration, and is removed unless somebody has started it; nothing was done
FERRYWHY0008I = { $why }; nothing was done
FERRYWHY0009I = it is removed, but not everything that was to go with it: { $what }
FERRYWHY0010I = it has no definition, only this run; nothing was done
FERRYWHY0011I = it was moved here: it is on { $host } now, nothing of it is left on { $from }, and nothing was done. To remove the machine itself, ask with ?host={ $host }
FERRYWHY0012I = { $changes } can be changed only while it is stopped; nothing was changed
FERRYWHY0013I = { $change } was not changed: { $said }; nothing was changed
FERRYWHY0014I = { $change } was not changed: { $said }; { $made } was changed before that
FERRYWHY0015I = { $error }; it may have been done, look at the virtual machine

## Why there is no snapshot, or none was gone back to.

FERRYWHY0020I = a snapshot cannot be named so: { $why }
FERRYWHY0021I = it has no such snapshot
FERRYWHY0022I = it has a snapshot of this name; nothing was done
FERRYWHY0023I = its memory is saved, and would not fit the disks as they were; nothing was done. Start it, or have its memory forgotten (virsh managedsave-remove)
FERRYWHY0024I = its disk { $disk } has the format { $format }, and only qcow2 can hold a snapshot
FERRYWHY0025I = it has no disk that a snapshot could be kept in
FERRYWHY0026I = the variables of its UEFI firmware are in a flash image that is not qcow2, which cannot hold a snapshot
FERRYWHY0027I = it must have 1 to { $longest } bytes
FERRYWHY0028I = it must not begin with a dot, nor hold slashes or control characters
FERRYWHY0029I = `current` stands for the current one
FERRYWHY0030I = a number of less than ten digits would be taken for the number that QEMU gives each snapshot

## Why a machine is not cloned, or its disks stay.

FERRYWHY0040I = it has saved memory, which its disks do not go without: start it, and shut it down
FERRYWHY0041I = its disk { $disk } cannot be copied: { $why }
FERRYWHY0042I = it needs a secret
FERRYWHY0043I = it is a device of the host's passed through
FERRYWHY0044I = { $source } is no volume of a storage pool
FERRYWHY0045I = { $host } has the same machine, and may use the same disks
FERRYWHY0046I = its disk { $disk } is not removed: { $why }
FERRYWHY0047I = { $place } is not there, or in no storage pool
FERRYWHY0048I = it has no disk { $disk }
FERRYWHY0049I = its disk { $disk } is a medium, and is not removed
FERRYWHY0050I = its disk { $disk } is not written to, and may be shared, and is not removed
FERRYWHY0051I = its disk { $disk } is shared, and is not removed
FERRYWHY0052I = its disk { $disk } ({ $path }) is used by { $user }
FERRYWHY0053I = whether something else uses its disks is not known ({ $error }); they stay
FERRYWHY0054I = its disk { $disk } ({ $path }) was not removed: { $error }

## Why a machine is not seen or spoken to.

FERRYWHY0060I = it does not run
FERRYWHY0061I = what libvirt gave is no picture
FERRYWHY0062I = none of its serial lines is a pty
FERRYWHY0063I = it has no screen that is reached by VNC or SPICE
FERRYWHY0064I = its screen on { $host } listens where it is not reached from here: { $how }
FERRYWHY0065I = it has no port; have it listen on an address (<listen type='address'/>)
FERRYWHY0066I = "{ $listen }" is not an address
FERRYWHY0067I = { $address } is reached on that host alone; register the host with an ssh URI, or have it listen on another address
FERRYWHY0068I = there is no such ticket for this virtual machine: it was used, or is too old; ask for a new one
FERRYWHY0069I = as many consoles are open on its host as may be at once; close one

## Why a machine is not made.

FERRYWHY0070I = a virtual machine of this name is there
FERRYWHY0071I = there is no storage pool { $pool }
FERRYWHY0072I = the storage pool { $pool } is not active
FERRYWHY0073I = the storage pool { $pool } is no directory: no volume is made in it, one that is there may be used
FERRYWHY0074I = the storage pool { $pool } is no directory: what is in it is raw
FERRYWHY0075I = disks in the storage pool { $pool } have no path on the host
FERRYWHY0076I = there is no volume { $volume } in the storage pool { $pool }
FERRYWHY0077I = the volume { $volume } is { $is }, and no { $wanted } image
FERRYWHY0078I = { $volume } is used by { $user }
FERRYWHY0079I = { $path } is not there
FERRYWHY0080I = there is no network { $network }
FERRYWHY0081I = the network { $network } is not active
FERRYWHY0082I = the host's QEMU has no { $kind } screens
FERRYWHY0083I = the host's QEMU runs no machine with more than { $most } virtual CPUs
FERRYWHY0084I = the host runs no machines of its own architecture: { $why }
FERRYWHY0085I = no host is registered as { $host }; nothing was done
FERRYWHY0086I = ferryd runs on no host that it knows; say on which one (?host=HOST). Nothing was done
FERRYWHY0087I = another one of its disks
FERRYWHY0088I = { $name }, which is being made
FERRYWHY0089I = { $volume } in the storage pool { $pool }
FERRYWHY0097I = it offers neither KVM nor QEMU
FERRYWHY0098I = { $host } does not answer, and may run the same machine with these disks: they are removed when it answers, or is registered no more
FERRYWHY0099I = no host that answers has a virtual machine of this name, and { $hosts } cannot be asked now

## Why a device is not given, or not taken. 'It' is the device.

FERRYWHY0090I = its host has no such device
FERRYWHY0091I = it is no device that a virtual machine can be given
FERRYWHY0092I = its host has put it into no IOMMU group
FERRYWHY0093I = it is given and taken only while the virtual machine is stopped
FERRYWHY0094I = the virtual machine has it
FERRYWHY0095I = the virtual machine does not have it
FERRYWHY0096I = a job of libvirt's is at work on the virtual machine

## The titles of our own interface's problems, in the order of their codes.

FERRYPROBLEM0001E = The request is not valid
FERRYPROBLEM0002E = A value in the request is not allowed
FERRYPROBLEM0003E = The body must be application/json
FERRYPROBLEM0004E = The request is too large
FERRYPROBLEM0005E = There is nothing at this address
FERRYPROBLEM0006E = This address does not take that method
FERRYPROBLEM0007E = A login is needed
FERRYPROBLEM0008E = The login cannot be checked
FERRYPROBLEM0009E = The request is not allowed
FERRYPROBLEM0010E = The host is not registered
FERRYPROBLEM0011E = The virtual machine is not known
FERRYPROBLEM0012E = Several hosts have a virtual machine of that name
FERRYPROBLEM0013E = There is no such task
FERRYPROBLEM0014E = The host is registered already
FERRYPROBLEM0015E = The host takes part in a running task
FERRYPROBLEM0016E = The virtual machine is being moved already
FERRYPROBLEM0017E = Something is being done to the virtual machine
FERRYPROBLEM0018E = The checks found reasons against this migration
FERRYPROBLEM0019E = The host's ssh key is not known yet
FERRYPROBLEM0020E = The host's ssh key has changed
FERRYPROBLEM0021E = The host refused the login
FERRYPROBLEM0022E = The host does not answer
FERRYPROBLEM0023E = The task cannot do that any more
FERRYPROBLEM0024E = libvirt reported an error
FERRYPROBLEM0025E = Ferry met an error of its own
