//! A plan whose domain arrives with another definition: pure.

use similar::TextDiff;

use super::{Plan, Rewrite, RewriteError, host_files, rewrite};
use crate::model::facts::{DomainFacts, Facts};

impl Plan {
    /// The same, where the definition is rewritten: as was asked for, and where the destination has files of its own elsewhere.
    ///
    /// # Errors
    /// What was asked for does not fit the definition.
    pub fn with_rewrite(
        mut self,
        asked: Rewrite,
        facts: &Facts,
        domain: &DomainFacts,
    ) -> Result<Self, RewriteError> {
        // Disks go where the plan has them made, and nowhere else.
        let disks = self.files.moved.clone();
        self.rewrite = Rewrite { host_files: host_files(facts), disks, ..asked };
        if self.rewrite.is_empty() {
            return Ok(self);
        }
        let now = self.definition.as_deref().unwrap_or(&domain.xml);
        let there = rewrite(now, &self.rewrite)?;
        self.definition_diff = (there != now).then(|| self.diff(now, &there));
        if self.definition_diff.is_none() && domain.is_active() {
            // Something was plugged in that its definition of the next start does not have.
            let runs = rewrite(&domain.xml, &Rewrite { name: None, ..self.rewrite.clone() })?;
            self.definition_diff = (runs != domain.xml).then(|| self.diff(&domain.xml, &runs));
        }
        self.definition_there = self.definition.is_some().then_some(there);
        Ok(self)
    }

    fn diff(&self, now: &str, there: &str) -> String {
        let name = |host: &str, name: &str| format!("{host}/{name}.xml");
        let (from, to) = (name(&self.source, &self.name), name(&self.destination, self.name_there()));
        TextDiff::from_lines(now, there).unified_diff().header(&from, &to).to_string()
    }

    /// The definition (without secrets) that it has on the destination, to write it there again; none for a transient one.
    #[must_use]
    pub fn definition_on_destination(&self) -> Option<&String> {
        self.definition_there.as_ref().or(self.definition.as_ref())
    }

    /// Its name on the destination.
    #[must_use]
    pub fn name_there(&self) -> &str {
        self.rewrite.name.as_ref().unwrap_or(&self.name)
    }

    /// Where it is, on the destination, for a sentence: the host, and its name there if that is another one.
    #[must_use]
    pub fn place_there(&self) -> String {
        match self.rewrite.name.as_ref().filter(|new| **new != self.name) {
            Some(new) => format!("{} as {new}", self.destination),
            None => self.destination.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use api::vm::VmState;
    use serde_json::json;

    use super::*;
    use crate::model::DomainUuid;
    use crate::model::definition::Definition;
    use crate::model::domain::{DomainSight, Reason};
    use crate::model::facts::{HostKnowledge, TransportFacts, Wanted};

    const XML: &str = "<domain>\n  <name>web1</name>\n  <devices>\n    <interface type='network'>\n      \
                       <source network='default'/>\n    </interface>\n  </devices>\n</domain>\n";

    /// A plan as it was stored before there was anything of this in it.
    fn plan() -> Plan {
        let stored = json!({
            "domain": uuid::Uuid::from_u128(7), "name": "web1", "source": "kvm1", "destination": "kvm2",
            "peer_uri": "qemu+ssh://kvm2/system", "wants_running": true, "persistent": true, "autostart": false,
            "definition": XML, "max_downtime_ms": null, "bandwidth_mib_s": null, "tunnelled": false
        });
        serde_json::from_value(stored).unwrap()
    }

    fn planned(plan: Plan, asked: Rewrite) -> Plan {
        let sight = DomainSight {
            state: VmState::Running,
            reason: Reason::Other,
            persistent: true,
            autostart: false,
            job: false,
            run: None,
        };
        let mut domain = DomainFacts::new(DomainUuid(uuid::Uuid::from_u128(7)), Definition::default(), sight);
        domain.xml = XML.replace("default", "live");
        let silent = |name: &str| HostKnowledge::Unreachable {
            name: name.to_owned(),
            code: String::new(),
            message: String::new(),
            evidence: String::new(),
            remedy: String::new(),
        };
        let facts = Facts {
            source: silent("kvm1"),
            destination: silent("kvm2"),
            domain: Some(domain.clone()),
            reception: None,
            meeting: None,
            destination_peer_uri: None,
            wanted: Wanted::default(),
            transport: TransportFacts::default(),
        };
        plan.with_rewrite(asked, &facts, &domain).unwrap()
    }

    fn asked() -> Rewrite {
        Rewrite {
            name: Some("web2".to_owned()),
            networks: BTreeMap::from([("default".to_owned(), "lan".to_owned())]),
            ..Rewrite::default()
        }
    }

    #[test]
    fn without_a_mapping_all_stays_as_it_is() {
        let plan = planned(plan(), Rewrite::default());
        assert_eq!((plan.definition_diff.as_ref(), plan.definition_there.as_ref()), (None, None));
        assert_eq!(plan.definition_on_destination().map(String::as_str), Some(XML));
        assert_eq!((plan.name_there(), plan.place_there().as_str()), ("web1", "kvm2"));
        assert!(plan.call().rewrite.is_empty());
        assert_eq!(plan.report(Vec::new()).libvirt_parameters, []);
    }

    #[test]
    fn what_is_otherwise_is_told_as_a_diff_and_handed_to_libvirt() {
        let plan = planned(plan(), asked());
        let diff = plan.definition_diff.clone().unwrap();
        assert!(diff.starts_with("--- kvm1/web1.xml\n+++ kvm2/web2.xml\n@@ "), "{diff}");
        for line in ["-  <name>web1</name>\n", "+  <name>web2</name>\n", "+      <source network='lan'/>\n"] {
            assert!(diff.contains(line), "{diff}");
        }
        let there = plan.definition_on_destination().unwrap();
        assert!(there.contains("<name>web2</name>") && there.contains("network='lan'"), "{there}");
        assert_eq!(plan.place_there(), "kvm2 as web2");
        let report = plan.report(Vec::new());
        let names: Vec<&str> = report.libvirt_parameters.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["destination_name", "destination_xml", "persistent_xml"]);
        assert_eq!(report.definition_diff, Some(diff));
        assert!(report.steps.iter().any(|step| step.what == "let web2 run"), "{:#?}", report.steps);
        // It is stored, and read again as it was.
        let stored = serde_json::to_value(&plan).unwrap();
        assert_eq!(serde_json::from_value::<Plan>(stored).unwrap(), plan);
    }

    #[test]
    fn of_a_transient_one_what_runs_is_told() {
        let transient = Plan { definition: None, persistent: false, ..plan() };
        let by = Rewrite { name: Some("web2".to_owned()), ..Rewrite::default() };
        let plan = planned(transient, by);
        assert!(plan.definition_diff.as_ref().is_some_and(|diff| diff.contains("+  <name>web2</name>")));
        assert_eq!(plan.definition_on_destination(), None);
        let report = plan.report(Vec::new());
        assert_eq!(report.libvirt_parameters, [("destination_name".to_owned(), "web2".to_owned())]);
    }
}
