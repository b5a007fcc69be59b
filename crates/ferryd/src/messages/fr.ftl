# Ce que Ferry dit en français. Les noms entre accolades sont des variables ; catalogue.rs les a toutes.

## De Kimchi, au sujet des machines virtuelles.

KCHVM0001E = La machine virtuelle « { $name } » existe déjà
KCHVM0002E = La machine virtuelle « { $name } » n’existe pas
KCHVM0004E = Impossible d’obtenir une capture d’écran de la machine virtuelle « { $name } » : elle est arrêtée
KCHVM0006E = Pas de capture d’écran pour la machine virtuelle « { $name } » : { $details }
KCHVM0007E = Impossible de créer la machine virtuelle « { $name } ». Détails : { $details }
KCHVM0008E = Impossible de modifier la machine virtuelle « { $name } ». Détails : { $details }
KCHVM0009E = Impossible de lire la machine virtuelle « { $name } ». Détails : { $details }
KCHVM0010E = Impossible de se connecter à la machine virtuelle « { $name } », qui est arrêtée.
KCHVM0011E = Le nom d’une machine virtuelle doit être une chaîne de caractères sans barre oblique (/)
KCHVM0014E = L’affichage d’une machine virtuelle doit être SPICE ou VNC
KCHVM0015E = L’adresse d’écoute de l’affichage doit être une adresse IPv4 ou IPv6
KCHVM0019E = Impossible de démarrer la machine virtuelle « { $name } ». Détails : { $details }
KCHVM0020E = Impossible d’éteindre la machine virtuelle « { $name } ». Détails : { $details }
KCHVM0021E = Impossible de supprimer la machine virtuelle « { $name } ». Détails : { $details }
KCHVM0022E = Impossible de réinitialiser la machine virtuelle « { $name } ». Détails : { $details }
KCHVM0023E = La liste des noms d’utilisateurs doit être un tableau
KCHVM0024E = Un nom d’utilisateur doit être une chaîne de caractères
KCHVM0025E = La liste des noms de groupes doit être un tableau
KCHVM0026E = Un nom de groupe doit être une chaîne de caractères
KCHVM0029E = Impossible d’arrêter la machine virtuelle « { $name } ». Détails : { $details }
KCHVM0033E = La machine virtuelle « { $name } » doit être arrêtée avant d’être clonée.
KCHVM0034E = Espace disque insuffisant pour cloner la machine virtuelle « { $name } »
KCHVM0035E = Impossible de cloner la machine virtuelle « { $name } ». Détails : { $details }
KCHVM0036E = Opération impossible : la machine virtuelle « { $name } » n’est pas persistante
KCHVM0037E = Impossible de suspendre la machine virtuelle « { $name } » : elle n’est pas en marche.
KCHVM0038E = Impossible de suspendre la machine virtuelle « { $name } ». Détails : { $details }
KCHVM0039E = Impossible de reprendre la machine virtuelle « { $name } » : elle n’est pas suspendue.
KCHVM0040E = Impossible de reprendre la machine virtuelle « { $name } ». Détails : { $details }
KCHVM0041E = La mémoire attribuée dépasse celle de l’hôte : { $maxmem } Mio
KCHVM0048E = Impossible de démarrer « { $name } ». La machine virtuelle est déjà en marche.
KCHVM0049E = Impossible d’éteindre « { $name } ». La machine virtuelle est arrêtée.
KCHVM0050E = Impossible d’arrêter « { $name } ». La machine virtuelle est arrêtée.
KCHVM0051E = Impossible de réinitialiser « { $name } ». La machine virtuelle est déjà arrêtée.
KCHVM0055E = La migration vers l’hôte local « { $host } » n’est pas autorisée.
KCHVM0056E = Pour migrer une machine virtuelle vers l’hôte distant « { $host } », l’utilisateur « { $user } » doit pouvoir s’y connecter sans mot de passe.
KCHVM0057E = Impossible de migrer la machine virtuelle « { $name } » : { $details }
KCHVM0058E = La migration de la machine virtuelle « { $name } » a échoué : { $details }
KCHVM0059E = Le nom d’utilisateur sur l’hôte distant doit être une chaîne de caractères.
KCHVM0060E = L’hôte de destination de la migration doit être une chaîne de caractères.
KCHVM0064E = Impossible de migrer la machine virtuelle « { $name } » vers l’hôte « { $host } » : { $details }
KCHVM0065E = Impossible de migrer la machine virtuelle « { $name } » vers l’hôte « { $host } » : { $details }
KCHVM0066E = Impossible de se connecter à l’hôte distant « { $host } » : { $details }
KCHVM0069E = Le mot de passe doit être une chaîne de caractères.
KCHVM0074E = Ces paramètres ne peuvent pas être modifiés tant que la machine virtuelle est en marche : { $changes }
KCHVM0076E = Pour ouvrir une console série, un port série et une console doivent être définis dans la machine virtuelle « { $name } » : { $details }
KCHVM0077E = Impossible d’obtenir la console série de « { $name } » : { $details }
KCHVM0085E = Le titre d’une machine virtuelle doit être une chaîne de caractères
KCHVM0086E = La description d’une machine virtuelle doit être une chaîne de caractères
KCHVM0091E = « enable_rdma » doit être un booléen (true ou false).
KCHVMHDEV0001E = Le périphérique « { $device } » de l’hôte n’est pas attribué à la machine virtuelle « { $name } ».
KCHVMHDEV0002E = Le périphérique « { $device } » de l’hôte ne peut pas être attribué directement à une machine virtuelle.
KCHVMHDEV0003E = Aucun groupe IOMMU trouvé, sans lequel un périphérique PCI de l’hôte ne peut pas être attribué. Activez Intel VT-d ou AMD IOMMU dans le BIOS et vérifiez que le noyau prend en charge l’IOMMU. Pour un processeur Intel, ajoutez « intel_iommu=on » à GRUB_CMDLINE_LINUX dans /etc/default/grub ; pour un processeur AMD, « iommu=pt iommu=1 ».
KCHVMHDEV0004E = « name » doit être le nom d’un périphérique
KCHVMHDEV0006E = Le périphérique « { $device } » ne peut être ni attribué ni retiré à chaud.
KCHVMHDEV0007E = Impossible d’attribuer le périphérique « { $device } » à « { $name } ». Détails : { $details }
KCHHOST0003E = Le périphérique « { $device } » n’existe pas sur l’hôte

## De Kimchi, au sujet des ressources d’une machine.

KCHTMPL0002E = Le support d’installation « { $path } » n’existe pas
KCHTMPL0003E = Le réseau « { $network } » indiqué pour « { $name } » n’existe pas
KCHTMPL0004E = Le pool de stockage « { $pool } » indiqué pour « { $name } » n’existe pas
KCHTMPL0007E = Le réseau « { $network } » indiqué pour « { $name } » n’est pas actif
KCHTMPL0012E = Nombre de processeurs : { $details }
KCHTMPL0013E = Taille de la mémoire : { $details }
KCHTMPL0014E = Le lecteur de CD-ROM a besoin d’un fichier ISO
KCHTMPL0015E = Pool de stockage : { $details }
KCHTMPL0017E = Les réseaux doivent être indiqués dans une liste.
KCHTMPL0018E = Dans un tel pool de stockage, il faut indiquer un volume existant : { $details }
KCHTMPL0019E = Le volume « { $volume } » n’est pas dans le pool de stockage « { $pool } »
KCHTMPL0022E = Taille du disque : { $details }
KCHTMPL0027E = Format du disque : { $details }
KCHTMPL0028E = Disque : { $details }
KCHTMPL0029E = Dans un tel pool de stockage, le format du disque doit être « raw ».
KCHTMPL0030E = Mémoire : { $details }
KCHTMPL0031E = La mémoire ({ $memory } Mio) ne doit pas dépasser son maximum ({ $most } Mio)
KCHCPUINF0001E = Le nombre de processeurs virtuels ne doit pas dépasser le maximum indiqué.
KCHCPUINF0004E = Le nombre maximal de processeurs virtuels est trop grand pour ce système : { $details }
KCHCPUINF0008E = « cpu_info » doit être un objet dont les champs sont parmi « vcpus », « maxvcpus » et « topology ».

## De Kimchi, au sujet des instantanés.

KCHSNAP0002E = Impossible de créer l’instantané « { $snapshot } » de la machine virtuelle « { $name } ». Détails : { $details }
KCHSNAP0003E = L’instantané « { $snapshot } » de la machine virtuelle « { $name } » n’existe pas.
KCHSNAP0004E = Impossible de consulter l’instantané « { $snapshot } » de la machine virtuelle « { $name } ». Détails : { $details }
KCHSNAP0005E = Impossible de lister les instantanés de la machine virtuelle « { $name } ». Détails : { $details }
KCHSNAP0006E = Impossible de supprimer l’instantané « { $snapshot } » de la machine virtuelle « { $name } ». Détails : { $details }
KCHSNAP0008E = Impossible de consulter l’instantané actuel de la machine virtuelle « { $name } ». Détails : { $details }
KCHSNAP0009E = Impossible de ramener la machine virtuelle « { $name } » à l’instantané « { $snapshot } ». Détails : { $details }
KCHSNAP0010E = Impossible de créer un instantané de la machine virtuelle « { $name } » : elle a un disque au format « { $format } », et seul « qcow2 » est pris en charge.

## Du serveur de Kimchi (Wok).

WOKAPI0006E = La requête n’est pas du JSON valide
WOKAPI0007E = Cette interface n’accepte que du JSON
WOKAPI0008E = Les paramètres ne sont pas conformes au schéma : { $details }
WOKAPI0009E = Vous n’avez pas le droit d’effectuer cette opération.
WOKASYNC0001E = Aucune tâche n’a l’identifiant { $task }
WOKAUTH0001E = L’authentification de l’utilisateur « { $user } » a échoué. [Code d’erreur : 7]
WOKAUTH0002E = Vous n’êtes pas autorisé à accéder à Wok. Veuillez d’abord vous connecter.
WOKAUTH0004E =
    Trop de tentatives de connexion ont échoué. Veuillez attendre { $seconds ->
        [one] { $seconds } seconde
       *[other] { $seconds } secondes
    } avant de réessayer.
WOKAUTH0007E = Indiquez un nom d’utilisateur et un mot de passe pour vous connecter à Wok.
WOKAUTH0008E = Le nom d’utilisateur ou le mot de passe est incorrect. Veuillez réessayer

## Ce que le serveur de Kimchi disait sans identifiant, et qui est donc dit sans identifiant.

FERRYAPI0001E = La requête doit indiquer Content-Length
FERRYAPI0002E = Rien ne correspond à cette adresse
FERRYAPI0003E = Cette méthode n’est pas valable pour cette ressource

## Ce que dit la page de connexion.

FERRYPAGE0001I = Connexion à Ferry
FERRYPAGE0002I = Nom d’utilisateur
FERRYPAGE0003I = Mot de passe
FERRYPAGE0004I = Se connecter
FERRYPAGE0005I = Le serveur ne répond pas. Veuillez réessayer.
FERRYPAGE0006I = Cette page a besoin de JavaScript.

## Ce que Kimchi ne disait pas.

FERRYAPI0004E = La requête n’a pas été exécutée : { $details }
FERRYAPI0005E = Le corps de la requête dépasse { $bytes } octets
FERRYAUTH0001E = Le système n’a pas dit si le mot de passe est correct ; le journal du serveur en donne la raison.
FERRYHDEV0001E = Impossible de lister les périphériques de l’hôte attribués à « { $name } ». Détails : { $details }
FERRYHDEV0002E = Impossible de retirer le périphérique « { $device } » de « { $name } ». Détails : { $details }
FERRYVM0001E = Une console est un WebSocket : la requête doit demander à y passer (Upgrade)
FERRYVM0002E = La console de « { $name } » n’a pas été ouverte : { $details }
FERRYVM0003E = Pour migrer une machine virtuelle vers l’hôte distant « { $host } », l’utilisateur « { $user } » doit pouvoir s’y connecter sans mot de passe. { $details }
FERRYVM0004E = { KCHVM0059E } { $details }
FERRYVM0005E = { KCHVM0060E } { $details }
FERRYVM0006E = { KCHVM0069E } { $details }
FERRYVM0007E = { KCHVM0091E } { $details }

## Où en sont les tâches.

FERRYTASK0001I = démarrage d’une migration
FERRYTASK0002I = Migration terminée
FERRYTASK0003I = Migration annulée
FERRYTASK0004I = lecture de la définition de la machine virtuelle d’origine
FERRYTASK0005I = copie des disques de la machine virtuelle
FERRYTASK0006I = définition de la nouvelle machine virtuelle
FERRYTASK0007I = Clonage annulé
FERRYTASK0008I = création d’un instantané
FERRYTASK0009I = Instantané annulé
FERRYTASK0010I = OK
FERRYTASK0011I = définition de la nouvelle machine virtuelle
FERRYTASK0012I = préparation du stockage de la nouvelle machine virtuelle
FERRYTASK0013I = Création annulée
FERRYTASK0014I = attribution du périphérique à la machine virtuelle
FERRYTASK0015I = Attribution annulée
FERRYTASK0016I = retrait du périphérique
FERRYTASK0017I = Retrait annulé

## Ce qui n’est pas conforme à un schéma.

FERRYSCHEMA0001I =
    { $value } n’est pas { $kind ->
        [string] une chaîne de caractères
        [boolean] un booléen
        [integer] un nombre entier
        [array] un tableau
       *[object] un objet
    }
FERRYSCHEMA0002I = { $value } est inférieur au minimum { $least }
FERRYSCHEMA0003I = { $value } est supérieur au maximum { $most }
FERRYSCHEMA0004I = « { $value } » est trop court
FERRYSCHEMA0005I = « { $value } » est trop long
FERRYSCHEMA0006I = « { $value } » ne correspond pas à « { $pattern } »
FERRYSCHEMA0007I = { $value } contient des éléments en double
FERRYSCHEMA0008I = '{ $keys }' { $count ->
        [one] n’est pas un paramètre admis ici
       *[other] ne sont pas des paramètres admis ici
    }
FERRYSCHEMA0009I = Le paramètre « { $key } » est obligatoire
FERRYSCHEMA0010I = plus d’une des possibilités { $choices } est indiquée
FERRYSCHEMA0011I = { $keys } ne doivent pas être indiqués ensemble
FERRYSCHEMA0012I = les arguments après le « ? » sont illisibles
FERRYSCHEMA0013I = « disks » doit être « all », ou des noms de disques (vda,vdb)
FERRYSCHEMA0014I = « nvram » doit être « true » ou « false »
FERRYSCHEMA0015I = { $value } est trop long
FERRYSCHEMA0016I = il peut y avoir au plus { $most } filtres d’au plus { $longest } caractères chacun
FERRYSCHEMA0017I = « { $value } » est trop grand comme expression régulière

## Pourquoi quelque chose n’a pas été fait à une machine, ou pas entièrement. « Elle » est la machine virtuelle.

FERRYWHY0001I = aucun hôte qui répond n’a de machine virtuelle de ce nom
FERRYWHY0002I = elle est en cours de création, de migration ou de clonage, un instantané en est pris, ou un périphérique attribué ou retiré ; rien n’a été fait (`ferry task watch { $task }` montre l’avancement)
FERRYWHY0003I = une autre opération est en cours sur elle ; rien n’a été fait, réessayez
FERRYWHY0004I = libvirt exécute un travail sur elle (une migration, un enregistrement de son état, une sauvegarde) ; rien n’a été fait
FERRYWHY0005I =
    elle { $state ->
        [running] est en marche
        [blocked] attend un périphérique
        [paused] est suspendue
        [shutdown] est en train de s’arrêter
        [shutoff] est arrêtée
        [crashed] s’est arrêtée sur une erreur
        [pmsuspended] est en veille
       *[nostate] n’est dans aucun état connu
    } ; rien n’a été fait
FERRYWHY0006I = elle est déjà en marche sur l’hôte « { $host } » ; rien n’a été fait
FERRYWHY0007I = ce que l’hôte « { $host } » en a est un reste d’une migration, supprimé à moins que quelqu’un ne l’ait démarré ; rien n’a été fait
FERRYWHY0008I = { $why } ; rien n’a été fait
FERRYWHY0009I = elle est supprimée, mais pas tout ce qui devait l’être avec elle : { $what }
FERRYWHY0010I = elle n’a pas de définition, seulement cette exécution ; rien n’a été fait
FERRYWHY0011I = elle a été déplacée : elle est maintenant sur l’hôte « { $host } », il n’en reste rien sur « { $from } », et rien n’a été fait. Pour supprimer la machine elle-même, indiquez ?host={ $host }
FERRYWHY0012I = { $changes } : modifiable seulement quand elle est arrêtée ; rien n’a été modifié
FERRYWHY0013I = { $change } n’a pas été modifié : { $said } ; rien n’a été modifié
FERRYWHY0014I = { $change } n’a pas été modifié : { $said } ; auparavant, a été modifié : { $made }
FERRYWHY0015I = { $error } ; cela a pu être fait malgré tout, vérifiez la machine virtuelle

## Pourquoi il n’y a pas d’instantané, ou pourquoi aucun n’a été rétabli.

FERRYWHY0020I = un instantané ne peut pas être nommé ainsi : { $why }
FERRYWHY0021I = elle n’a pas cet instantané
FERRYWHY0022I = elle a déjà un instantané de ce nom ; rien n’a été fait
FERRYWHY0023I = sa mémoire est enregistrée et ne correspondrait plus aux disques tels qu’ils étaient ; rien n’a été fait. Démarrez-la, ou faites oublier sa mémoire (virsh managedsave-remove)
FERRYWHY0024I = son disque { $disk } est au format { $format }, et seul qcow2 peut contenir un instantané
FERRYWHY0025I = elle n’a pas de disque qui puisse contenir un instantané
FERRYWHY0026I = les variables de son micrologiciel UEFI sont dans une image flash qui n’est pas en qcow2 et ne peut pas contenir d’instantané
FERRYWHY0027I = le nom doit avoir de 1 à { $longest } octets
FERRYWHY0028I = le nom ne doit pas commencer par un point, ni contenir de barre oblique ou de caractère de contrôle
FERRYWHY0029I = `current` désigne l’instantané actuel
FERRYWHY0030I = un nombre de moins de dix chiffres serait pris pour le numéro que QEMU donne à chaque instantané

## Pourquoi une machine n’est pas clonée, ou pourquoi ses disques restent.

FERRYWHY0040I = sa mémoire est enregistrée, et ses disques ne vont pas sans elle : démarrez-la, puis arrêtez-la
FERRYWHY0041I = son disque { $disk } ne peut pas être copié : { $why }
FERRYWHY0042I = il a besoin d’un secret
FERRYWHY0043I = c’est un périphérique de l’hôte, attribué directement
FERRYWHY0044I = { $source } n’est pas un volume d’un pool de stockage
FERRYWHY0045I = l’hôte « { $host } » a la même machine, et peut utiliser les mêmes disques
FERRYWHY0046I = son disque { $disk } n’est pas supprimé : { $why }
FERRYWHY0047I = { $place } n’existe pas, ou n’est dans aucun pool de stockage
FERRYWHY0048I = elle n’a pas de disque { $disk }
FERRYWHY0049I = son disque { $disk } est un support amovible, et n’est pas supprimé
FERRYWHY0050I = son disque { $disk } est en lecture seule et peut être partagé ; il n’est pas supprimé
FERRYWHY0051I = son disque { $disk } est partagé, et n’est pas supprimé
FERRYWHY0052I = son disque { $disk } ({ $path }) est utilisé par { $user }
FERRYWHY0053I = on ne sait pas si autre chose utilise ses disques ({ $error }) ; ils restent
FERRYWHY0054I = son disque { $disk } ({ $path }) n’a pas été supprimé : { $error }

## Pourquoi on ne peut ni voir une machine, ni lui parler.

FERRYWHY0060I = elle n’est pas en marche
FERRYWHY0061I = ce que libvirt a fourni n’est pas une image
FERRYWHY0062I = aucun de ses ports série n’est un pseudo-terminal (pty)
FERRYWHY0063I = elle n’a pas d’écran accessible par VNC ou SPICE
FERRYWHY0064I = son écran sur l’hôte « { $host } » n’est pas accessible d’ici : { $how }
FERRYWHY0065I = il n’a pas de port ; faites-le écouter sur une adresse (<listen type='address'/>)
FERRYWHY0066I = « { $listen } » n’est pas une adresse
FERRYWHY0067I = { $address } n’est accessible que sur cet hôte ; enregistrez l’hôte avec une URI ssh, ou faites écouter l’écran sur une autre adresse
FERRYWHY0068I = il n’y a pas de tel ticket pour cette machine virtuelle : il a été utilisé, ou il est trop ancien ; demandez-en un nouveau
FERRYWHY0069I = le nombre maximal de consoles ouvertes sur son hôte est atteint ; fermez-en une

## Pourquoi une machine n’est pas créée.

FERRYWHY0070I = il y a déjà une machine virtuelle de ce nom
FERRYWHY0071I = le pool de stockage « { $pool } » n’existe pas
FERRYWHY0072I = le pool de stockage « { $pool } » n’est pas actif
FERRYWHY0073I = le pool de stockage « { $pool } » n’est pas un répertoire : aucun volume n’y est créé, un volume existant peut être utilisé
FERRYWHY0074I = le pool de stockage « { $pool } » n’est pas un répertoire : ce qu’il contient est au format raw
FERRYWHY0075I = les disques du pool de stockage « { $pool } » n’ont pas de chemin sur l’hôte
FERRYWHY0076I = il n’y a pas de volume « { $volume } » dans le pool de stockage « { $pool } »
FERRYWHY0077I = le volume « { $volume } » est { $is }, et non une image { $wanted }
FERRYWHY0078I = { $volume } est utilisé par : { $user }
FERRYWHY0079I = { $path } n’existe pas
FERRYWHY0080I = le réseau « { $network } » n’existe pas
FERRYWHY0081I = le réseau « { $network } » n’est pas actif
FERRYWHY0082I = QEMU, sur l’hôte, n’a pas d’affichage { $kind }
FERRYWHY0083I = QEMU, sur l’hôte, n’exécute pas de machine de plus de { $most } processeurs virtuels
FERRYWHY0084I = l’hôte n’exécute pas de machines de sa propre architecture : { $why }
FERRYWHY0085I = aucun hôte n’est enregistré sous le nom « { $host } » ; rien n’a été fait
FERRYWHY0086I = ferryd ne fonctionne sur aucun hôte qu’il connaisse ; indiquez lequel (?host=HOST). Rien n’a été fait
FERRYWHY0087I = un autre de ses disques
FERRYWHY0088I = { $name }, en cours de création
FERRYWHY0089I = { $volume } dans le pool de stockage « { $pool } »
FERRYWHY0097I = il n’offre ni KVM ni QEMU
FERRYWHY0098I = l’hôte « { $host } » ne répond pas, et peut exécuter la même machine avec ces disques : ils sont supprimés quand il répond ou n’est plus enregistré
FERRYWHY0099I = aucun hôte qui répond n’a de machine virtuelle de ce nom, et { $hosts } ne peut pas être interrogé maintenant

## Pourquoi un périphérique n’est pas attribué ou retiré. « Il » est le périphérique.

FERRYWHY0090I = son hôte n’a pas un tel périphérique
FERRYWHY0091I = ce n’est pas un périphérique qui puisse être attribué à une machine virtuelle
FERRYWHY0092I = son hôte ne l’a mis dans aucun groupe IOMMU
FERRYWHY0093I = il n’est attribué et retiré que lorsque la machine virtuelle est arrêtée
FERRYWHY0094I = la machine virtuelle l’a déjà
FERRYWHY0095I = la machine virtuelle ne l’a pas
FERRYWHY0096I = une tâche de libvirt est en cours sur la machine virtuelle

## Les titres des erreurs de notre propre interface, dans l’ordre de leurs codes.

FERRYPROBLEM0001E = La requête n’est pas valide
FERRYPROBLEM0002E = Une valeur de la requête n’est pas autorisée
FERRYPROBLEM0003E = Le corps de la requête doit être de type application/json
FERRYPROBLEM0004E = La requête est trop volumineuse
FERRYPROBLEM0005E = Il n’y a rien à cette adresse
FERRYPROBLEM0006E = Cette adresse n’accepte pas cette méthode
FERRYPROBLEM0007E = Une connexion est nécessaire
FERRYPROBLEM0008E = La connexion ne peut pas être vérifiée
FERRYPROBLEM0009E = La requête n’est pas autorisée
FERRYPROBLEM0010E = L’hôte n’est pas enregistré
FERRYPROBLEM0011E = La machine virtuelle n’est pas connue
FERRYPROBLEM0012E = Plusieurs hôtes ont une machine virtuelle de ce nom
FERRYPROBLEM0013E = Cette tâche n’existe pas
FERRYPROBLEM0014E = L’hôte est déjà enregistré
FERRYPROBLEM0015E = L’hôte participe à une tâche en cours
FERRYPROBLEM0016E = La machine virtuelle est déjà en cours de migration
FERRYPROBLEM0017E = Une opération est en cours sur la machine virtuelle
FERRYPROBLEM0018E = Les vérifications s’opposent à cette migration
FERRYPROBLEM0019E = La clé ssh de l’hôte n’est pas encore connue
FERRYPROBLEM0020E = La clé ssh de l’hôte a changé
FERRYPROBLEM0021E = L’hôte a refusé la connexion
FERRYPROBLEM0022E = L’hôte ne répond pas
FERRYPROBLEM0023E = Ce n’est plus possible pour cette tâche
FERRYPROBLEM0024E = libvirt a signalé une erreur
FERRYPROBLEM0025E = Une erreur interne de Ferry s’est produite
