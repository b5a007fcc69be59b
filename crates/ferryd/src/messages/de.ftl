# Was Ferry auf Deutsch sagt. Namen in geschweiften Klammern sind Variablen; alle stehen in catalogue.rs.

## Von Kimchi, über virtuelle Maschinen.

KCHVM0001E = Die virtuelle Maschine „{ $name }“ gibt es bereits
KCHVM0002E = Die virtuelle Maschine „{ $name }“ gibt es nicht
KCHVM0004E = Die virtuelle Maschine „{ $name }“ ist ausgeschaltet; von ihr gibt es kein Bildschirmfoto
KCHVM0006E = Von der virtuellen Maschine „{ $name }“ gibt es kein Bildschirmfoto: { $details }
KCHVM0007E = Die virtuelle Maschine „{ $name }“ konnte nicht erstellt werden. Einzelheiten: { $details }
KCHVM0008E = Die virtuelle Maschine „{ $name }“ konnte nicht geändert werden. Einzelheiten: { $details }
KCHVM0009E = Die virtuelle Maschine „{ $name }“ konnte nicht gelesen werden. Einzelheiten: { $details }
KCHVM0010E = Mit der ausgeschalteten virtuellen Maschine „{ $name }“ kann keine Verbindung hergestellt werden.
KCHVM0011E = Der Name einer virtuellen Maschine muss eine Zeichenkette ohne Schrägstriche (/) sein
KCHVM0014E = Die Grafik einer virtuellen Maschine muss SPICE oder VNC sein
KCHVM0015E = Die Adresse, an der die Grafik erreichbar ist, muss eine IPv4- oder IPv6-Adresse sein
KCHVM0019E = Die virtuelle Maschine „{ $name }“ konnte nicht gestartet werden. Einzelheiten: { $details }
KCHVM0020E = Die virtuelle Maschine „{ $name }“ konnte nicht ausgeschaltet werden. Einzelheiten: { $details }
KCHVM0021E = Die virtuelle Maschine „{ $name }“ konnte nicht gelöscht werden. Einzelheiten: { $details }
KCHVM0022E = Die virtuelle Maschine „{ $name }“ konnte nicht zurückgesetzt werden. Einzelheiten: { $details }
KCHVM0023E = Die Liste der Benutzernamen muss ein Array sein
KCHVM0024E = Ein Benutzername muss eine Zeichenkette sein
KCHVM0025E = Die Liste der Gruppennamen muss ein Array sein
KCHVM0026E = Ein Gruppenname muss eine Zeichenkette sein
KCHVM0029E = Die virtuelle Maschine „{ $name }“ konnte nicht heruntergefahren werden. Einzelheiten: { $details }
KCHVM0033E = Die virtuelle Maschine „{ $name }“ muss ausgeschaltet sein, bevor sie geklont wird.
KCHVM0034E = Der Speicherplatz reicht nicht aus, um die virtuelle Maschine „{ $name }“ zu klonen
KCHVM0035E = Die virtuelle Maschine „{ $name }“ konnte nicht geklont werden. Einzelheiten: { $details }
KCHVM0036E = Die virtuelle Maschine „{ $name }“ ist nicht dauerhaft definiert; dieser Vorgang ist bei ihr nicht möglich
KCHVM0037E = Die virtuelle Maschine „{ $name }“ kann nicht angehalten werden, weil sie nicht läuft.
KCHVM0038E = Die virtuelle Maschine „{ $name }“ konnte nicht angehalten werden. Einzelheiten: { $details }
KCHVM0039E = Die virtuelle Maschine „{ $name }“ kann nicht fortgesetzt werden, weil sie nicht angehalten ist.
KCHVM0040E = Die virtuelle Maschine „{ $name }“ konnte nicht fortgesetzt werden. Einzelheiten: { $details }
KCHVM0041E = Der zugewiesene Speicher ist größer als der des Hosts: { $maxmem } MiB
KCHVM0048E = „{ $name }“ kann nicht gestartet werden. Die virtuelle Maschine läuft bereits.
KCHVM0049E = „{ $name }“ kann nicht ausgeschaltet werden. Die virtuelle Maschine ist ausgeschaltet.
KCHVM0050E = „{ $name }“ kann nicht heruntergefahren werden. Die virtuelle Maschine ist ausgeschaltet.
KCHVM0051E = „{ $name }“ kann nicht zurückgesetzt werden. Die virtuelle Maschine ist bereits ausgeschaltet.
KCHVM0055E = Die Migration auf den eigenen Host „{ $host }“ ist nicht erlaubt.
KCHVM0056E = Um eine virtuelle Maschine auf den Host „{ $host }“ zu migrieren, muss sich der Benutzer „{ $user }“ dort ohne Passwort anmelden können.
KCHVM0057E = Die virtuelle Maschine „{ $name }“ kann nicht migriert werden: { $details }
KCHVM0058E = Die Migration der virtuellen Maschine „{ $name }“ ist fehlgeschlagen: { $details }
KCHVM0059E = Der Benutzername auf dem Zielhost muss eine Zeichenkette sein.
KCHVM0060E = Der Zielhost der Migration muss eine Zeichenkette sein.
KCHVM0064E = Die virtuelle Maschine „{ $name }“ kann nicht auf den Host „{ $host }“ migriert werden: { $details }
KCHVM0065E = Die virtuelle Maschine „{ $name }“ kann nicht auf den Host „{ $host }“ migriert werden: { $details }
KCHVM0066E = Mit dem Zielhost „{ $host }“ kann keine Verbindung hergestellt werden: { $details }
KCHVM0069E = Das Passwort muss eine Zeichenkette sein.
KCHVM0074E = Diese Angaben können nicht geändert werden, während die virtuelle Maschine läuft: { $changes }
KCHVM0076E = Für eine serielle Konsole müssen in der virtuellen Maschine „{ $name }“ eine serielle Schnittstelle und eine Konsole definiert sein: { $details }
KCHVM0077E = Die serielle Konsole von „{ $name }“ ist nicht erreichbar: { $details }
KCHVM0085E = Der Titel einer virtuellen Maschine muss eine Zeichenkette sein
KCHVM0086E = Die Beschreibung einer virtuellen Maschine muss eine Zeichenkette sein
KCHVM0091E = „enable_rdma“ muss ein Wahrheitswert sein (true oder false).
KCHVMHDEV0001E = Der virtuellen Maschine „{ $name }“ ist das Gerät „{ $device }“ des Hosts nicht zugewiesen.
KCHVMHDEV0002E = Das Gerät „{ $device }“ des Hosts darf keiner virtuellen Maschine direkt zugewiesen werden.
KCHVMHDEV0003E = Es gibt keine IOMMU-Gruppen, ohne die PCI-Geräte des Hosts nicht durchgereicht werden können. Aktivieren Sie Intel VT-d oder AMD IOMMU im BIOS, und stellen Sie sicher, dass der Kernel IOMMU unterstützt. Fügen Sie bei einer Intel-CPU „intel_iommu=on“ zu GRUB_CMDLINE_LINUX in /etc/default/grub hinzu, bei einer AMD-CPU „iommu=pt iommu=1“.
KCHVMHDEV0004E = „name“ muss der Name eines Geräts sein
KCHVMHDEV0006E = Das Gerät „{ $device }“ kann im laufenden Betrieb weder zugewiesen noch entfernt werden.
KCHVMHDEV0007E = Das Gerät „{ $device }“ konnte der virtuellen Maschine „{ $name }“ nicht zugewiesen werden. Einzelheiten: { $details }
KCHHOST0003E = Das Gerät „{ $device }“ gibt es auf dem Host nicht

## Von Kimchi, über die Ausstattung einer Maschine.

KCHTMPL0002E = Das Installationsmedium „{ $path }“ gibt es nicht
KCHTMPL0003E = Das für „{ $name }“ angegebene Netzwerk „{ $network }“ gibt es nicht
KCHTMPL0004E = Den für „{ $name }“ angegebenen Speicherpool „{ $pool }“ gibt es nicht
KCHTMPL0007E = Das für „{ $name }“ angegebene Netzwerk „{ $network }“ ist nicht aktiv
KCHTMPL0012E = Anzahl der Prozessoren: { $details }
KCHTMPL0013E = Größe des Arbeitsspeichers: { $details }
KCHTMPL0014E = Das CD-Laufwerk braucht eine ISO-Datei
KCHTMPL0015E = Speicherpool: { $details }
KCHTMPL0017E = Die Netzwerke müssen als Liste angegeben werden.
KCHTMPL0018E = In einem solchen Speicherpool muss ein vorhandenes Volume angegeben werden: { $details }
KCHTMPL0019E = Das Volume „{ $volume }“ ist nicht im Speicherpool „{ $pool }“
KCHTMPL0022E = Größe der Festplatte: { $details }
KCHTMPL0027E = Format der Festplatte: { $details }
KCHTMPL0028E = Festplatte: { $details }
KCHTMPL0029E = In einem solchen Speicherpool muss das Format der Festplatte „raw“ sein.
KCHTMPL0030E = Arbeitsspeicher: { $details }
KCHTMPL0031E = Der Arbeitsspeicher ({ $memory } MiB) darf nicht größer sein als sein Höchstwert ({ $most } MiB)
KCHCPUINF0001E = Die Anzahl der virtuellen Prozessoren darf nicht größer sein als die angegebene Höchstzahl.
KCHCPUINF0004E = Die Höchstzahl der virtuellen Prozessoren ist für dieses System zu groß: { $details }
KCHCPUINF0008E = „cpu_info“ muss ein Objekt sein, mit Feldern aus „vcpus“, „maxvcpus“ und „topology“.

## Von Kimchi, über Snapshots.

KCHSNAP0002E = Der Snapshot „{ $snapshot }“ der virtuellen Maschine „{ $name }“ konnte nicht erstellt werden. Einzelheiten: { $details }
KCHSNAP0003E = Den Snapshot „{ $snapshot }“ der virtuellen Maschine „{ $name }“ gibt es nicht.
KCHSNAP0004E = Der Snapshot „{ $snapshot }“ der virtuellen Maschine „{ $name }“ konnte nicht abgerufen werden. Einzelheiten: { $details }
KCHSNAP0005E = Die Snapshots der virtuellen Maschine „{ $name }“ konnten nicht aufgelistet werden. Einzelheiten: { $details }
KCHSNAP0006E = Der Snapshot „{ $snapshot }“ der virtuellen Maschine „{ $name }“ konnte nicht gelöscht werden. Einzelheiten: { $details }
KCHSNAP0008E = Der aktuelle Snapshot der virtuellen Maschine „{ $name }“ konnte nicht abgerufen werden. Einzelheiten: { $details }
KCHSNAP0009E = Die virtuelle Maschine „{ $name }“ konnte nicht auf den Snapshot „{ $snapshot }“ zurückgesetzt werden. Einzelheiten: { $details }
KCHSNAP0010E = Von der virtuellen Maschine „{ $name }“ kann kein Snapshot erstellt werden, weil sie eine Festplatte im Format „{ $format }“ hat; nur „qcow2“ wird unterstützt.

## Von Kimchis Server (Wok).

WOKAPI0006E = Die Anfrage ist kein gültiges JSON
WOKAPI0007E = Diese Schnittstelle nimmt nur JSON an
WOKAPI0008E = Die Angaben entsprechen nicht dem Schema: { $details }
WOKAPI0009E = Sie sind zu diesem Vorgang nicht berechtigt.
WOKASYNC0001E = Es gibt keine Aufgabe mit der Kennung { $task }
WOKAUTH0001E = Die Anmeldung des Benutzers „{ $user }“ ist fehlgeschlagen. [Fehlercode: 7]
WOKAUTH0002E = Sie haben keinen Zugriff auf Wok. Bitte melden Sie sich zuerst an.
WOKAUTH0004E =
    Zu viele Anmeldeversuche sind fehlgeschlagen. Bitte warten Sie { $seconds ->
        [one] eine Sekunde
       *[other] { $seconds } Sekunden
    }, bevor Sie es erneut versuchen.
WOKAUTH0007E = Zur Anmeldung an Wok müssen Benutzername und Passwort angegeben werden.
WOKAUTH0008E = Der Benutzername oder das Passwort ist falsch. Bitte versuchen Sie es erneut

## Was Kimchis Server ohne Kennung gesagt hat und darum ohne Kennung gesagt wird.

FERRYAPI0001E = Die Anfrage muss Content-Length angeben
FERRYAPI0002E = Unter dieser Adresse gibt es nichts
FERRYAPI0003E = Diese Methode ist bei dieser Adresse nicht möglich

## Was auf der Seite zur Anmeldung steht.

FERRYPAGE0001I = Anmeldung bei Ferry
FERRYPAGE0002I = Benutzername
FERRYPAGE0003I = Passwort
FERRYPAGE0004I = Anmelden
FERRYPAGE0005I = Der Server antwortet nicht. Bitte versuchen Sie es erneut.
FERRYPAGE0006I = Diese Seite braucht JavaScript.

## Wofür Kimchi kein Wort hatte.

FERRYAPI0004E = Die Anfrage wurde nicht ausgeführt: { $details }
FERRYAPI0005E = Der Inhalt der Anfrage ist größer als { $bytes } Byte
FERRYAUTH0001E = Das System hat nicht gesagt, ob das Passwort stimmt; das Protokoll des Servers nennt den Grund.
FERRYHDEV0001E = Die Geräte des Hosts, die „{ $name }“ zugewiesen sind, konnten nicht aufgelistet werden. Einzelheiten: { $details }
FERRYHDEV0002E = Das Gerät „{ $device }“ konnte der virtuellen Maschine „{ $name }“ nicht entzogen werden. Einzelheiten: { $details }
FERRYVM0001E = Eine Konsole ist ein WebSocket: Die Anfrage muss den Wechsel dorthin verlangen (Upgrade)
FERRYVM0002E = Die Konsole von „{ $name }“ wurde nicht geöffnet: { $details }
FERRYVM0003E = Um eine virtuelle Maschine auf den Host „{ $host }“ zu migrieren, muss sich der Benutzer „{ $user }“ dort ohne Passwort anmelden können. { $details }
FERRYVM0004E = { KCHVM0059E } { $details }
FERRYVM0005E = { KCHVM0060E } { $details }
FERRYVM0006E = { KCHVM0069E } { $details }
FERRYVM0007E = { KCHVM0091E } { $details }

## Wobei Aufgaben sind.

FERRYTASK0001I = Migration wird gestartet
FERRYTASK0002I = Migration abgeschlossen
FERRYTASK0003I = Migration abgebrochen
FERRYTASK0004I = Definition der ursprünglichen virtuellen Maschine wird gelesen
FERRYTASK0005I = Festplatten der virtuellen Maschine werden kopiert
FERRYTASK0006I = neue virtuelle Maschine wird definiert
FERRYTASK0007I = Klonen abgebrochen
FERRYTASK0008I = Snapshot wird erstellt
FERRYTASK0009I = Snapshot abgebrochen
FERRYTASK0010I = OK
FERRYTASK0011I = neue virtuelle Maschine wird definiert
FERRYTASK0012I = Speicher der neuen virtuellen Maschine wird angelegt
FERRYTASK0013I = Erstellen abgebrochen
FERRYTASK0014I = Gerät wird der virtuellen Maschine zugewiesen
FERRYTASK0015I = Zuweisen abgebrochen
FERRYTASK0016I = Gerät wird der virtuellen Maschine entzogen
FERRYTASK0017I = Entziehen abgebrochen

## Was nicht zu einem Schema passt.

FERRYSCHEMA0001I =
    { $value } ist { $kind ->
        [string] keine Zeichenkette
        [boolean] kein Wahrheitswert
        [integer] keine ganze Zahl
        [array] kein Array
       *[object] kein Objekt
    }
FERRYSCHEMA0002I = { $value } ist kleiner als das Minimum { $least }
FERRYSCHEMA0003I = { $value } ist größer als das Maximum { $most }
FERRYSCHEMA0004I = „{ $value }“ ist zu kurz
FERRYSCHEMA0005I = „{ $value }“ ist zu lang
FERRYSCHEMA0006I = „{ $value }“ entspricht nicht dem Muster „{ $pattern }“
FERRYSCHEMA0007I = { $value } enthält Elemente mehrfach
FERRYSCHEMA0008I = '{ $keys }' { $count ->
        [one] ist keine Angabe, die hier möglich ist
       *[other] sind keine Angaben, die hier möglich sind
    }
FERRYSCHEMA0009I = Die Angabe „{ $key }“ fehlt
FERRYSCHEMA0010I = mehr als eine der Möglichkeiten { $choices } ist angegeben
FERRYSCHEMA0011I = { $keys } dürfen nicht zugleich angegeben werden
FERRYSCHEMA0012I = die Argumente nach dem „?“ sind nicht lesbar
FERRYSCHEMA0013I = „disks“ muss „all“ sein oder Namen von Festplatten nennen (vda,vdb)
FERRYSCHEMA0014I = „nvram“ muss „true“ oder „false“ sein
FERRYSCHEMA0015I = { $value } ist zu lang
FERRYSCHEMA0016I = es sind höchstens { $most } Filter mit je höchstens { $longest } Zeichen möglich
FERRYSCHEMA0017I = „{ $value }“ ist als regulärer Ausdruck zu groß

## Warum mit einer Maschine etwas nicht geschehen ist, oder nicht ganz. „Sie“ ist die virtuelle Maschine.

FERRYWHY0001I = kein Host, der antwortet, hat eine virtuelle Maschine dieses Namens
FERRYWHY0002I = sie wird gerade erstellt, verschoben oder geklont, oder es wird ein Snapshot von ihr erstellt oder ein Gerät zugewiesen oder entzogen; es wurde nichts getan (`ferry task watch { $task }` zeigt, wie weit das ist)
FERRYWHY0003I = mit ihr geschieht gerade etwas anderes; es wurde nichts getan, versuchen Sie es erneut
FERRYWHY0004I = libvirt führt gerade einen Auftrag an ihr aus (eine Migration, ein Sichern des Zustands, ein Backup); es wurde nichts getan
FERRYWHY0005I =
    sie { $state ->
        [running] läuft
        [blocked] wartet auf ein Gerät
        [paused] ist angehalten
        [shutdown] fährt herunter
        [shutoff] ist ausgeschaltet
        [crashed] ist abgestürzt
        [pmsuspended] ist im Ruhezustand
       *[nostate] ist in keinem bekannten Zustand
    }; es wurde nichts getan
FERRYWHY0006I = sie läuft bereits auf dem Host „{ $host }“; es wurde nichts getan
FERRYWHY0007I = was der Host „{ $host }“ von ihr hat, hat eine Migration zurückgelassen und wird entfernt, sofern niemand es gestartet hat; es wurde nichts getan
FERRYWHY0008I = { $why }; es wurde nichts getan
FERRYWHY0009I = sie ist entfernt, aber nicht alles, was mit ihr entfernt werden sollte: { $what }
FERRYWHY0010I = sie hat keine Definition, nur diesen einen Lauf; es wurde nichts getan
FERRYWHY0011I = sie wurde verschoben: Sie ist jetzt auf dem Host „{ $host }“, auf „{ $from }“ ist nichts mehr von ihr, und es wurde nichts getan. Um die Maschine selbst zu entfernen, geben Sie ?host={ $host } an
FERRYWHY0012I = { $changes }: nur zu ändern, während sie ausgeschaltet ist; es wurde nichts geändert
FERRYWHY0013I = { $change } wurde nicht geändert: { $said }; es wurde nichts geändert
FERRYWHY0014I = { $change } wurde nicht geändert: { $said }; davor wurde geändert: { $made }
FERRYWHY0015I = { $error }; es kann trotzdem geschehen sein; sehen Sie bei der virtuellen Maschine nach

## Warum es keinen Snapshot gibt, oder keiner wiederhergestellt wurde.

FERRYWHY0020I = ein Snapshot kann nicht so heißen: { $why }
FERRYWHY0021I = sie hat keinen solchen Snapshot
FERRYWHY0022I = sie hat bereits einen Snapshot dieses Namens; es wurde nichts getan
FERRYWHY0023I = ihr Arbeitsspeicher ist gesichert und würde nicht zu den Festplatten passen, wie sie waren; es wurde nichts getan. Starten Sie sie, oder verwerfen Sie den gesicherten Arbeitsspeicher (virsh managedsave-remove)
FERRYWHY0024I = ihre Festplatte { $disk } hat das Format { $format }, und nur qcow2 kann einen Snapshot aufnehmen
FERRYWHY0025I = sie hat keine Festplatte, die einen Snapshot aufnehmen könnte
FERRYWHY0026I = die Variablen ihrer UEFI-Firmware liegen in einem Flash-Abbild, das nicht qcow2 ist und keinen Snapshot aufnehmen kann
FERRYWHY0027I = der Name muss 1 bis { $longest } Byte lang sein
FERRYWHY0028I = der Name darf nicht mit einem Punkt beginnen und weder Schrägstriche noch Steuerzeichen enthalten
FERRYWHY0029I = `current` steht für den aktuellen Snapshot
FERRYWHY0030I = eine Zahl mit weniger als zehn Ziffern würde für die Nummer gehalten, die QEMU jedem Snapshot gibt

## Warum eine Maschine nicht geklont wird, oder ihre Festplatten bleiben.

FERRYWHY0040I = ihr Arbeitsspeicher ist gesichert, und ohne ihn sind ihre Festplatten unvollständig: Starten Sie sie, und fahren Sie sie herunter
FERRYWHY0041I = ihre Festplatte { $disk } kann nicht kopiert werden: { $why }
FERRYWHY0042I = sie braucht ein Geheimnis
FERRYWHY0043I = sie ist ein durchgereichtes Gerät des Hosts
FERRYWHY0044I = { $source } ist kein Volume eines Speicherpools
FERRYWHY0045I = der Host „{ $host }“ hat dieselbe Maschine und kann dieselben Festplatten nutzen
FERRYWHY0046I = ihre Festplatte { $disk } wird nicht entfernt: { $why }
FERRYWHY0047I = { $place } ist nicht vorhanden oder liegt in keinem Speicherpool
FERRYWHY0048I = sie hat keine Festplatte { $disk }
FERRYWHY0049I = ihr Laufwerk { $disk } enthält ein Wechselmedium; das wird nicht entfernt
FERRYWHY0050I = ihre Festplatte { $disk } wird nur gelesen und kann gemeinsam genutzt sein; sie wird nicht entfernt
FERRYWHY0051I = ihre Festplatte { $disk } wird gemeinsam genutzt und nicht entfernt
FERRYWHY0052I = ihre Festplatte { $disk } ({ $path }) wird genutzt von { $user }
FERRYWHY0053I = ob etwas anderes ihre Festplatten nutzt, ist nicht bekannt ({ $error }); sie bleiben
FERRYWHY0054I = ihre Festplatte { $disk } ({ $path }) wurde nicht entfernt: { $error }

## Warum eine Maschine nicht zu sehen oder zu erreichen ist.

FERRYWHY0060I = sie läuft nicht
FERRYWHY0061I = was libvirt geliefert hat, ist kein Bild
FERRYWHY0062I = keine ihrer seriellen Schnittstellen ist ein Pseudoterminal (pty)
FERRYWHY0063I = sie hat keinen Bildschirm, der über VNC oder SPICE erreichbar ist
FERRYWHY0064I = ihr Bildschirm auf dem Host „{ $host }“ ist von hier aus nicht erreichbar: { $how }
FERRYWHY0065I = er hat keinen Port; lassen Sie ihn auf einer Adresse lauschen (<listen type='address'/>)
FERRYWHY0066I = „{ $listen }“ ist keine Adresse
FERRYWHY0067I = { $address } ist nur auf diesem Host selbst erreichbar; registrieren Sie den Host mit einer ssh-URI, oder lassen Sie den Bildschirm auf einer anderen Adresse lauschen
FERRYWHY0068I = für diese virtuelle Maschine gibt es kein solches Ticket: Es wurde bereits benutzt oder ist zu alt; fordern Sie ein neues an
FERRYWHY0069I = auf ihrem Host sind so viele Konsolen offen, wie es zugleich sein dürfen; schließen Sie eine

## Warum eine Maschine nicht erstellt wird.

FERRYWHY0070I = eine virtuelle Maschine dieses Namens gibt es schon
FERRYWHY0071I = den Speicherpool „{ $pool }“ gibt es nicht
FERRYWHY0072I = der Speicherpool „{ $pool }“ ist nicht aktiv
FERRYWHY0073I = der Speicherpool „{ $pool }“ ist kein Verzeichnis: darin wird kein Volume angelegt, ein vorhandenes kann benutzt werden
FERRYWHY0074I = der Speicherpool „{ $pool }“ ist kein Verzeichnis: was darin ist, ist raw
FERRYWHY0075I = Festplatten im Speicherpool „{ $pool }“ haben auf dem Host keinen Pfad
FERRYWHY0076I = im Speicherpool „{ $pool }“ gibt es kein Volume „{ $volume }“
FERRYWHY0077I = das Volume „{ $volume }“ ist { $is } und kein Abbild im Format { $wanted }
FERRYWHY0078I = { $volume } wird benutzt von: { $user }
FERRYWHY0079I = { $path } gibt es nicht
FERRYWHY0080I = das Netzwerk „{ $network }“ gibt es nicht
FERRYWHY0081I = das Netzwerk „{ $network }“ ist nicht aktiv
FERRYWHY0082I = QEMU auf dem Host hat keine Bildschirme der Art { $kind }
FERRYWHY0083I = QEMU auf dem Host betreibt keine Maschine mit mehr als { $most } virtuellen Prozessoren
FERRYWHY0084I = der Host betreibt keine Maschinen seiner eigenen Architektur: { $why }
FERRYWHY0085I = unter „{ $host }“ ist kein Host eingetragen; es wurde nichts getan
FERRYWHY0086I = ferryd läuft auf keinem Host, den es kennt; geben Sie an, auf welchem (?host=HOST). Es wurde nichts getan
FERRYWHY0087I = eine andere ihrer Festplatten
FERRYWHY0088I = { $name }, das gerade erstellt wird
FERRYWHY0089I = { $volume } im Speicherpool „{ $pool }“
FERRYWHY0097I = er bietet weder KVM noch QEMU
FERRYWHY0098I = der Host „{ $host }“ antwortet nicht und kann dieselbe Maschine mit diesen Festplatten betreiben: sie werden entfernt, wenn er antwortet oder nicht mehr eingetragen ist
FERRYWHY0099I = kein Host, der antwortet, hat eine virtuelle Maschine dieses Namens, und { $hosts } kann jetzt nicht gefragt werden

## Warum ein Gerät nicht zugewiesen oder entzogen wird. „Es“ ist das Gerät.

FERRYWHY0090I = sein Host hat kein solches Gerät
FERRYWHY0091I = es ist kein Gerät, das einer virtuellen Maschine zugewiesen werden kann
FERRYWHY0092I = sein Host hat es in keine IOMMU-Gruppe gelegt
FERRYWHY0093I = es wird nur zugewiesen und entzogen, während die virtuelle Maschine ausgeschaltet ist
FERRYWHY0094I = die virtuelle Maschine hat es bereits
FERRYWHY0095I = die virtuelle Maschine hat es nicht
FERRYWHY0096I = an der virtuellen Maschine arbeitet ein Job von libvirt

## Die Titel der Fehler unserer eigenen Schnittstelle, in der Reihenfolge ihrer Codes.

FERRYPROBLEM0001E = Die Anfrage ist nicht gültig
FERRYPROBLEM0002E = Ein Wert in der Anfrage ist nicht erlaubt
FERRYPROBLEM0003E = Der Inhalt der Anfrage muss application/json sein
FERRYPROBLEM0004E = Die Anfrage ist zu groß
FERRYPROBLEM0005E = Unter dieser Adresse gibt es nichts
FERRYPROBLEM0006E = Diese Adresse nimmt diese Methode nicht an
FERRYPROBLEM0007E = Eine Anmeldung ist nötig
FERRYPROBLEM0008E = Die Anmeldung kann nicht geprüft werden
FERRYPROBLEM0009E = Die Anfrage ist nicht erlaubt
FERRYPROBLEM0010E = Der Host ist nicht registriert
FERRYPROBLEM0011E = Die virtuelle Maschine ist nicht bekannt
FERRYPROBLEM0012E = Mehrere Hosts haben eine virtuelle Maschine dieses Namens
FERRYPROBLEM0013E = Diese Aufgabe gibt es nicht
FERRYPROBLEM0014E = Der Host ist bereits registriert
FERRYPROBLEM0015E = Der Host ist an einer laufenden Aufgabe beteiligt
FERRYPROBLEM0016E = Die virtuelle Maschine wird bereits verschoben
FERRYPROBLEM0017E = Mit der virtuellen Maschine geschieht gerade etwas
FERRYPROBLEM0018E = Die Prüfungen haben Gründe gegen diese Migration gefunden
FERRYPROBLEM0019E = Der ssh-Schlüssel des Hosts ist noch nicht bekannt
FERRYPROBLEM0020E = Der ssh-Schlüssel des Hosts hat sich geändert
FERRYPROBLEM0021E = Der Host hat die Anmeldung abgelehnt
FERRYPROBLEM0022E = Der Host antwortet nicht
FERRYPROBLEM0023E = Das ist bei dieser Aufgabe nicht mehr möglich
FERRYPROBLEM0024E = libvirt hat einen Fehler gemeldet
FERRYPROBLEM0025E = In Ferry ist ein Fehler aufgetreten
