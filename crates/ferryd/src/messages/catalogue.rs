//! Every message with the names of its variables. What it says stands in `en.ftl`, `de.ftl` and `fr.ftl`, under the same id.

use super::Text;

/// A line for each message: its id, what is told in front of it where that is not its id, and its variables.
macro_rules! catalogue {
    ($($(#[$doc:meta])* $id:ident $(as $told:literal)? $({ $($variable:ident),+ })?;)*) => {
        /// A message, with what it is about. A message with an unknown id, or without one of its variables, is none.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(crate) enum Message {
            $($(#[$doc])* $id $({ $($variable: Text),+ })?,)*
        }

        impl Message {
            /// The ids of all messages with the names of their variables.
            #[cfg(test)]
            pub(super) const ALL: &[(&str, &[&str])] =
                &[$((stringify!($id), &[$($(stringify!($variable)),+)?]),)*];

            /// By what it is found in the catalogue.
            pub(super) fn id(&self) -> &'static str {
                match self { $(Self::$id { .. } => stringify!($id),)* }
            }

            /// The id that is told in front of it; nothing where none is.
            pub(super) fn told_id(&self) -> &'static str {
                match self { $(Self::$id { .. } => [$($told,)? stringify!($id)][0],)* }
            }

            /// Its variables by their names.
            pub(super) fn variables(&self) -> Vec<(&'static str, &Text)> {
                match self {
                    $(Self::$id $({ $($variable),+ })? => vec![$($((stringify!($variable), $variable)),+)?],)*
                }
            }
        }
    };
}

catalogue! {
    // Kimchi's, of virtual machines.
    KCHVM0001E { name };
    KCHVM0002E { name };
    KCHVM0004E { name };
    KCHVM0006E { name, details };
    KCHVM0007E { name, details };
    KCHVM0008E { name, details };
    KCHVM0009E { name, details };
    KCHVM0010E { name };
    KCHVM0011E;
    KCHVM0014E;
    KCHVM0015E;
    KCHVM0019E { name, details };
    KCHVM0020E { name, details };
    KCHVM0021E { name, details };
    KCHVM0022E { name, details };
    KCHVM0023E;
    KCHVM0024E;
    KCHVM0025E;
    KCHVM0026E;
    KCHVM0029E { name, details };
    KCHVM0033E { name };
    KCHVM0034E { name };
    KCHVM0035E { name, details };
    KCHVM0036E { name };
    KCHVM0037E { name };
    KCHVM0038E { name, details };
    KCHVM0039E { name };
    KCHVM0040E { name, details };
    KCHVM0041E { maxmem };
    KCHVM0048E { name };
    KCHVM0049E { name };
    KCHVM0050E { name };
    KCHVM0051E { name };
    KCHVM0055E { host };
    KCHVM0056E { host, user };
    KCHVM0057E { name, details };
    KCHVM0058E { name, details };
    KCHVM0059E;
    KCHVM0060E;
    KCHVM0064E { name, host, details };
    KCHVM0065E { name, host, details };
    KCHVM0066E { host, details };
    KCHVM0069E;
    KCHVM0074E { changes };
    KCHVM0076E { name, details };
    KCHVM0077E { name, details };
    KCHVM0085E;
    KCHVM0086E;
    KCHVM0091E;
    KCHVMHDEV0001E { name, device };
    KCHVMHDEV0002E { device };
    KCHVMHDEV0003E;
    KCHVMHDEV0004E;
    KCHVMHDEV0006E { device };
    KCHVMHDEV0007E { device, name, details };
    KCHHOST0003E { device };

    // Kimchi's, of what a machine is made of.
    KCHTMPL0002E { path };
    KCHTMPL0003E { network, name };
    KCHTMPL0004E { pool, name };
    KCHTMPL0007E { network, name };
    KCHTMPL0012E { details };
    KCHTMPL0013E { details };
    KCHTMPL0014E;
    KCHTMPL0015E { details };
    KCHTMPL0017E;
    KCHTMPL0018E { details };
    KCHTMPL0019E { volume, pool };
    KCHTMPL0022E { details };
    KCHTMPL0027E { details };
    KCHTMPL0028E { details };
    KCHTMPL0029E;
    KCHTMPL0030E { details };
    KCHTMPL0031E { memory, most };
    KCHCPUINF0001E;
    KCHCPUINF0004E { details };
    KCHCPUINF0008E;

    // Kimchi's, of snapshots.
    KCHSNAP0002E { name, snapshot, details };
    KCHSNAP0003E { name, snapshot };
    KCHSNAP0004E { name, snapshot, details };
    KCHSNAP0005E { name, details };
    KCHSNAP0006E { name, snapshot, details };
    KCHSNAP0008E { name, details };
    KCHSNAP0009E { name, snapshot, details };
    KCHSNAP0010E { name, format };

    // Kimchi's server's.
    WOKAPI0006E;
    WOKAPI0007E;
    WOKAPI0008E { details };
    WOKAPI0009E;
    WOKASYNC0001E { task };
    WOKAUTH0001E { user };
    WOKAUTH0002E;
    WOKAUTH0004E { seconds };
    WOKAUTH0007E;
    WOKAUTH0008E;

    // What Kimchi's server said without an id.
    FERRYAPI0001E as "";
    FERRYAPI0002E as "";
    FERRYAPI0003E as "";

    // What stands in the page on which one logs in.
    FERRYPAGE0001I as "";
    FERRYPAGE0002I as "";
    FERRYPAGE0003I as "";
    FERRYPAGE0004I as "";
    FERRYPAGE0005I as "";
    FERRYPAGE0006I as "";

    // What Kimchi had no word for.
    FERRYAPI0004E { details };
    FERRYAPI0005E { bytes };
    FERRYAUTH0001E;
    FERRYHDEV0001E { name, details };
    FERRYHDEV0002E { device, name, details };
    FERRYVM0001E;
    FERRYVM0002E { name, details };
    /// The host's key is not the one that is trusted: Kimchi trusted any.
    FERRYVM0003E as "KCHVM0056E" { host, user, details };
    /// The same four fields as those of Kimchi's, wrong for other reasons than their type.
    FERRYVM0004E as "KCHVM0059E" { details };
    FERRYVM0005E as "KCHVM0060E" { details };
    FERRYVM0006E as "KCHVM0069E" { details };
    FERRYVM0007E as "KCHVM0091E" { details };

    // What tasks are at.
    FERRYTASK0001I as "";
    FERRYTASK0002I as "";
    FERRYTASK0003I as "";
    FERRYTASK0004I as "";
    FERRYTASK0005I as "";
    FERRYTASK0006I as "";
    FERRYTASK0007I as "";
    FERRYTASK0008I as "";
    FERRYTASK0009I as "";
    FERRYTASK0010I as "";
    FERRYTASK0011I as "";
    FERRYTASK0012I as "";
    FERRYTASK0013I as "";
    FERRYTASK0014I as "";
    FERRYTASK0015I as "";
    FERRYTASK0016I as "";
    FERRYTASK0017I as "";

    // What does not fit a schema.
    FERRYSCHEMA0001I as "" { value, kind };
    FERRYSCHEMA0002I as "" { value, least };
    FERRYSCHEMA0003I as "" { value, most };
    FERRYSCHEMA0004I as "" { value };
    FERRYSCHEMA0005I as "" { value };
    FERRYSCHEMA0006I as "" { value, pattern };
    FERRYSCHEMA0007I as "" { value };
    FERRYSCHEMA0008I as "" { keys, count };
    FERRYSCHEMA0009I as "" { key };
    FERRYSCHEMA0010I as "" { choices };
    FERRYSCHEMA0011I as "" { keys };
    FERRYSCHEMA0012I as "";
    FERRYSCHEMA0013I as "";
    FERRYSCHEMA0014I as "";
    FERRYSCHEMA0015I as "" { value };
    FERRYSCHEMA0016I as "" { most, longest };
    FERRYSCHEMA0017I as "" { value };

    // Why something was not done to a machine, or not wholly.
    FERRYWHY0001I as "";
    FERRYWHY0002I as "" { task };
    FERRYWHY0003I as "";
    FERRYWHY0004I as "";
    FERRYWHY0005I as "" { state };
    FERRYWHY0006I as "" { host };
    FERRYWHY0007I as "" { host };
    FERRYWHY0008I as "" { why };
    FERRYWHY0009I as "" { what };
    FERRYWHY0010I as "";
    FERRYWHY0011I as "" { host, from };
    FERRYWHY0012I as "" { changes };
    FERRYWHY0013I as "" { change, said };
    FERRYWHY0014I as "" { change, said, made };
    FERRYWHY0015I as "" { error };

    // Why there is no snapshot, or none was gone back to.
    FERRYWHY0020I as "" { why };
    FERRYWHY0021I as "";
    FERRYWHY0022I as "";
    FERRYWHY0023I as "";
    FERRYWHY0024I as "" { disk, format };
    FERRYWHY0025I as "";
    FERRYWHY0026I as "";
    FERRYWHY0027I as "" { longest };
    FERRYWHY0028I as "";
    FERRYWHY0029I as "";
    FERRYWHY0030I as "";

    // Why a machine is not cloned, or its disks stay.
    FERRYWHY0040I as "";
    FERRYWHY0041I as "" { disk, why };
    FERRYWHY0042I as "";
    FERRYWHY0043I as "";
    FERRYWHY0044I as "" { source };
    FERRYWHY0045I as "" { host };
    FERRYWHY0046I as "" { disk, why };
    FERRYWHY0047I as "" { place };
    FERRYWHY0048I as "" { disk };
    FERRYWHY0049I as "" { disk };
    FERRYWHY0050I as "" { disk };
    FERRYWHY0051I as "" { disk };
    FERRYWHY0052I as "" { disk, path, user };
    FERRYWHY0053I as "" { error };
    FERRYWHY0054I as "" { disk, path, error };

    // Why a machine is not seen or spoken to.
    FERRYWHY0060I as "";
    FERRYWHY0061I as "";
    FERRYWHY0062I as "";
    FERRYWHY0063I as "";
    FERRYWHY0064I as "" { host, how };
    FERRYWHY0065I as "";
    FERRYWHY0066I as "" { listen };
    FERRYWHY0067I as "" { address };
    FERRYWHY0068I as "";
    FERRYWHY0069I as "";

    // Why a machine is not made.
    FERRYWHY0070I as "";
    FERRYWHY0071I as "" { pool };
    FERRYWHY0072I as "" { pool };
    FERRYWHY0073I as "" { pool };
    FERRYWHY0074I as "" { pool };
    FERRYWHY0075I as "" { pool };
    FERRYWHY0076I as "" { volume, pool };
    FERRYWHY0077I as "" { volume, is, wanted };
    FERRYWHY0078I as "" { volume, user };
    FERRYWHY0079I as "" { path };
    FERRYWHY0080I as "" { network };
    FERRYWHY0081I as "" { network };
    FERRYWHY0082I as "" { kind };
    FERRYWHY0083I as "" { most };
    FERRYWHY0084I as "" { why };
    FERRYWHY0085I as "" { host };
    FERRYWHY0086I as "";
    FERRYWHY0087I as "";
    FERRYWHY0088I as "" { name };
    FERRYWHY0089I as "" { volume, pool };
    FERRYWHY0097I as "";
    FERRYWHY0098I as "" { host };
    FERRYWHY0099I as "" { hosts };

    // Why a device is not given, or not taken.
    FERRYWHY0090I as "";
    FERRYWHY0091I as "";
    FERRYWHY0092I as "";
    FERRYWHY0093I as "";
    FERRYWHY0094I as "";
    FERRYWHY0095I as "";
    FERRYWHY0096I as "";

    // The titles of our own interface's problems.
    FERRYPROBLEM0001E as "";
    FERRYPROBLEM0002E as "";
    FERRYPROBLEM0003E as "";
    FERRYPROBLEM0004E as "";
    FERRYPROBLEM0005E as "";
    FERRYPROBLEM0006E as "";
    FERRYPROBLEM0007E as "";
    FERRYPROBLEM0008E as "";
    FERRYPROBLEM0009E as "";
    FERRYPROBLEM0010E as "";
    FERRYPROBLEM0011E as "";
    FERRYPROBLEM0012E as "";
    FERRYPROBLEM0013E as "";
    FERRYPROBLEM0014E as "";
    FERRYPROBLEM0015E as "";
    FERRYPROBLEM0016E as "";
    FERRYPROBLEM0017E as "";
    FERRYPROBLEM0018E as "";
    FERRYPROBLEM0019E as "";
    FERRYPROBLEM0020E as "";
    FERRYPROBLEM0021E as "";
    FERRYPROBLEM0022E as "";
    FERRYPROBLEM0023E as "";
    FERRYPROBLEM0024E as "";
    FERRYPROBLEM0025E as "";
}
