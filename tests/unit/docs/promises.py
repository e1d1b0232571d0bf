"""What docs/security.md promises, passage by passage, and the tests by which it is true.

A passage is a paragraph, an entry of a list or a row of a table, named by how it begins.
"""

from typing import Final

_RIGHTS: Final = "integration/installation/test_threat_model.py"
_TENANTS: Final = "e2e/test_tenants.py"
_RUNNING: Final = "integration/builders/test_tenants.py"
_CONSUMERS: Final = "integration/builders/test_consumers.py"
_KUSTOMIZE: Final = "integration/installation/test_kustomize.py"
_ISOLATION: Final = "e2e/test_isolation.py::test_steps_have_every_id_and_see_the_daemon_only_without_a_sandbox"
_LEVELS: Final = "e2e/test_isolation.py::test_restricted_admits_no_daemon_and_the_remedy_fits_each"
_GOLDEN: Final = "unit/desired/test_golden.py::test_a_builder_has_exactly_these_objects"
_POD: Final = "unit/desired/test_golden.py::test_a_runner_pod_gets_exactly_this"
_CORPUS: Final = "integration/admission/test_corpus.py::test_a_pod_becomes_the_same_with_either_engine"
_RULES: Final = "integration/admission/test_corpus.py::test_each_rule_refuses_one_of_the_pods"
_TLS: Final = "e2e/test_tls.py"

PROMISES: Final[dict[str, tuple[str, ...]]] = {
    "Whatever the API server took from one namespace": (
        "integration/hostile/test_deep_json.py::test_nobody_ends_and_everybody_names_it",
        "unit/kube/test_decoding.py::test_what_is_too_deep_is_left_out_at_the_same_place_however_python_decodes",
        "unit/controller/test_child_kinds.py::test_of_what_no_builder_controls_nothing_is_kept",
        "unit/engine/test_queue.py::test_a_group_has_no_more_than_its_part_of_the_workers",
    ),
    "In mode Shared it looks like this;": (
        _ISOLATION,
        f"{_CONSUMERS}::test_who_is_not_admitted_gets_nothing",
        "unit/desired/test_golden.py::test_a_builder_has_exactly_these_objects",
    ),
    "| a build step (`RUN`) |": (
        _ISOLATION,
        "e2e/test_sidecar_survives.py::test_the_daemon_has_no_token_though_the_job_has_one",
    ),
    "| a job, no matter who wrote": (
        _RULES,
        f"{_RIGHTS}::test_a_cell",
        "e2e/test_connector.py::test_jobs_of_any_user_build_and_push_and_see_no_certificate",
    ),
    "| anyone who may edit builders": (
        f"{_RIGHTS}::test_who_edits_builders_alone_runs_an_image_by_one",
        f"{_CONSUMERS}::test_who_is_not_admitted_gets_nothing",
    ),
    "| the operator |": (
        f"{_RIGHTS}::test_a_cell",
        "integration/installation/test_rights.py::test_an_account_may_do_exactly_this",
    ),
    "**Anyone who may edit builders of a namespace must be": (
        f"{_RIGHTS}::test_who_edits_builders_alone_runs_an_image_by_one",
        "unit/desired/test_fields.py::test_a_field_changes_the_outcome",
        "unit/desired/test_fields.py::test_a_field_changes_what_is_injected",
    ),
    "- What `spec.daemon` mounts": (
        "integration/test_crd.py::test_bad_input_is_refused_with_its_place_and_a_sentence",
        "integration/builders/test_problems.py::test_no_builder_may_mount_the_keys_of_another",
    ),
    "- Objects that lost their owner": (
        "integration/builders/test_orphans.py::test_one_command_gives_everything_back",
        "integration/builders/test_orphans.py::test_an_authority_that_somebody_put_there_is_neither_used_nor_replaced",
        "integration/builders/test_orphans.py::test_keys_that_somebody_put_there_are_made_anew",
    ),
    "For a builder of one namespace,": (f"{_RIGHTS}::test_a_cell",),
    "- *By a builder*:": (
        f"{_RIGHTS}::test_who_edits_builders_alone_runs_an_image_by_one",
        f"{_RIGHTS}::test_who_edits_builders_alone_orders_certificates_by_one",
        "integration/builders/test_cert_manager.py::test_what_the_administrator_has_not_allowed_is_not_ordered",
    ),
    "- *Dry run*:": (
        f"{_RIGHTS}::test_the_operator_creates_pods_as_dry_runs_alone",
        "integration/installation/test_own_pods.py::test_nor_anywhere_else",
    ),
    "- *Deletion cost*:": (
        f"{_RIGHTS}::test_the_operator_changes_the_deletion_cost_of_daemons_alone",
        "integration/builders/test_autoscaling.py::test_of_a_deployment_the_emptiest_daemons_go_first",
    ),
    "- *Its own*:": (f"{_RIGHTS}::test_the_webhook_changes_its_own_configuration_alone",),
    "Installed for some namespaces,": (
        f"{_KUSTOMIZE}::test_namespaced_rights_are_those_of_the_whole_cluster_but_one_that_no_role_can_name",
        f"{_KUSTOMIZE}::test_no_account_of_a_namespaced_installation_is_bound_to_more_than_the_webhooks_own_object",
        "integration/installation/test_rights.py::test_an_account_may_do_exactly_this",
    ),
    "The cluster's role `edit` may": (
        "integration/builders/test_shared.py::test_an_edited_child_is_repaired",
        "integration/builders/test_shared.py::test_a_deleted_child_comes_back",
        "integration/builders/test_network.py::test_a_policy_that_others_open_or_delete_is_repaired",
        "integration/builders/test_process.py::test_a_deleted_secret_comes_back_with_the_next_resync",
        "integration/builders/test_problems.py::test_a_foreign_object_is_left_alone_and_named",
        "integration/builders/test_problems.py::test_an_object_with_our_label_and_another_owner_is_foreign_all_the_same",
        "integration/builders/test_problems.py::test_a_foreign_object_with_our_label_is_never_pruned",
        "integration/builders/test_hostile.py::test_what_names_a_builder_as_its_owner_is_not_deleted_and_stops_nothing",
        "integration/builders/test_hostile.py::test_a_pod_with_our_labels_is_no_runner",
        "integration/builders/test_hostile.py::test_a_pod_with_our_label_is_no_daemon",
        "integration/installation/test_daemon_labels.py::test_an_editor_makes_no_pod_that_a_builders_service_selects",
        "integration/installation/test_daemon_labels.py::test_nor_does_an_editor_make_one_by_a_change",
        "unit/cli/test_bounding_policies.py::test_labels_that_anybody_may_give_are_told",
    ),
    "- run an image of their choice,": (
        f"{_RIGHTS}::test_who_edits_builders_alone_runs_an_image_by_one",
        "unit/desired/test_fields.py::test_a_field_changes_the_outcome",
    ),
    "- add a container and volumes to pods": (_CORPUS,),
    "- publish a Service,": ("unit/desired/test_fields.py::test_a_field_changes_the_outcome",),
    "- open the daemons' port to peers,": (
        "integration/builders/test_network.py::test_only_the_peers_build_and_everybody_reads_metrics",
        "integration/builders/test_network.py::test_a_drain_takes_as_many_daemons_as_the_budget_says",
    ),
    "- put the key `ca.crt`": (_GOLDEN,),
    "- order certificates from cert-manager,": (
        "integration/builders/test_cert_manager.py::test_what_the_administrator_has_not_allowed_is_not_ordered",
        f"{_RIGHTS}::test_who_edits_builders_alone_orders_certificates_by_one",
    ),
    "The daemon runs as uid 1000,": (_GOLDEN, _POD),
    "| root in a build step is,": (_GOLDEN, _ISOLATION),
    "| root of the pod is,": (_GOLDEN,),
    "| user namespaces |": (_GOLDEN,),
    "| seccomp, AppArmor": (
        _GOLDEN,
        "unit/desired/test_isolation.py::test_profiles_left_to_the_node_are_not_mentioned",
    ),
    "| Pod Security level that": (_ISOLATION, _LEVELS),
    "| a build step sees processes": (_ISOLATION,),
    "| the network of a build step": (_GOLDEN,),
    "- **Without a process sandbox**": (_ISOLATION,),
    "- **With seccomp and AppArmor off**": (_GOLDEN,),
    "- **What a step leaves running": (
        _ISOLATION,
        "scripts/test_runc_script.py::test_what_a_step_has_left_ends_with_it_and_nothing_else",
        "scripts/test_runc_script.py::test_a_step_is_over_when_its_first_process_or_runc_ends",
    ),
    "The connector of mode Shared runs no build.": (
        "e2e/test_connector.py::test_a_job_without_any_right_runs_where_pod_security_is_restricted",
    ),
    "Tests on a real cluster show for each isolation,": (_ISOLATION, _LEVELS),
    "**Sidecar**: one job,": ("e2e/test_sidecar.py::test_a_cache_is_kept_between_jobs", _POD),
    "**Shared**: all users of": (
        f"{_TENANTS}::test_a_cell",
        "unit/controller/test_certificate_issuance.py::test_two_builders_have_nothing_in_common",
    ),
    "What somebody in a pod can do": (f"{_TENANTS}::test_a_cell",),
    "- the history: every build's": (f"{_TENANTS}::test_a_cell",),
    "- the log of every build,": (f"{_TENANTS}::test_a_cell",),
    "- what is cached:": (f"{_TENANTS}::test_a_cell",),
    "- cache mounts (`RUN": (f"{_TENANTS}::test_a_cell",),
    "- remove the cache": (f"{_TENANTS}::test_a_cell",),
    "- step into a build that runs:": (
        f"{_RUNNING}::test_another_tenant_ends_a_build_whose_base_image_is_looked_up",
        f"{_RUNNING}::test_another_tenant_reads_what_the_client_of_a_running_build_offers",
    ),
    "- poison a cache mount:": (f"{_TENANTS}::test_a_cell",),
    "- without a process sandbox (the table above)": (_ISOLATION,),
    "They **cannot**:": (
        "unit/controller/test_certificate_issuance.py::test_a_leaf_cannot_issue",
        f"{_CONSUMERS}::test_the_authoritys_key_does_not_leave_its_namespace",
        f"{_TENANTS}::test_a_cell",
    ),
    "| by |": (f"{_TLS}::test_a_client_with_the_connection_secret_gets_in",),
    "| who | every process": (
        "e2e/test_connector.py::test_jobs_of_any_user_build_and_push_and_see_no_certificate",
        f"{_TLS}::test_a_client_with_the_connection_secret_gets_in",
    ),
    "| who holds the key": (
        "unit/desired/test_connector.py::test_the_certificate_is_mounted_in_the_connector_alone",
        "e2e/test_connector.py::test_jobs_of_any_user_build_and_push_and_see_no_certificate",
    ),
    "- The socket is open to every uid": (
        "scripts/test_sidecar.py::test_the_socket_is_opened_to_every_uid",
        "e2e/test_sidecar.py::test_only_the_chosen_containers_get_the_builder",
        _RULES,
    ),
    "Anyone who edits builders decides where `injection.localCache`": (
        "unit/cli/test_schema.py::test_bad_input_is_refused_with_its_place_and_a_sentence",
        "integration/test_crd.py::test_bad_input_is_refused_with_its_place_and_a_sentence",
    ),
    "- No daemon listens on a port:": (
        "unit/desired/test_buildkitd_toml.py::test_what_the_operator_sets_is_not_the_users",
        "unit/desired/test_buildkitd_toml.py::test_a_daemon_has_no_port_that_a_build_step_could_reach",
        f"{_TLS}::test_the_daemons_container_has_no_key_no_certificate_and_no_port",
    ),
    "- Shared daemons require a client certificate": (
        f"{_TLS}::test_a_client_without_a_certificate_is_refused",
        f"{_TLS}::test_a_client_with_another_builders_certificate_is_refused",
        f"{_TLS}::test_a_builder_without_tls_lets_anyone_in_and_says_so",
    ),
    "- The CA's key is in the Secret": (
        "unit/controller/test_certificate_issuance.py::test_the_authoritys_key_stands_in_its_own_secret_alone",
        f"{_RIGHTS}::test_a_cell",
    ),
    "- A NetworkPolicy is made where": (
        f"{_TENANTS}::test_a_network_policy_keeps_out_whom_it_does_not_name_where_the_network_enforces_it",
        "integration/builders/test_network.py::test_only_the_peers_build_and_everybody_reads_metrics",
    ),
    "- A shared daemon's pod serves metrics": (
        "integration/test_front.py::test_of_what_is_for_debugging_only_metrics_are_passed_on",
        "e2e/test_metrics.py::test_of_what_the_daemon_serves_for_debugging_nothing_but_metrics_can_be_reached",
        "integration/builders/test_network.py::test_only_the_peers_build_and_everybody_reads_metrics",
        "unit/test_monitoring.py::test_what_a_pod_may_tell_at_a_path_is_what_belongs_there_and_nothing_else",
        "unit/test_monitoring.py::test_what_a_pod_tells_is_bounded",
    ),
    "- No daemon and no connector holds": (
        _GOLDEN,
        "e2e/test_sidecar_survives.py::test_the_daemon_has_no_token_though_the_job_has_one",
    ),
    "- The operator reads Secrets by name only:": (
        f"{_KUSTOMIZE}::test_no_right_lists_secrets_and_only_a_single_one_is_watched",
        "integration/builders/test_problems.py::test_no_value_of_a_secret_is_told_to_anybody",
    ),
    "- No container of a runner pod but ours": (
        _RULES,
        _CORPUS,
        "integration/admission/test_generated.py::test_every_pod_is_answered_alike_and_gets_what_it_should",
    ),
    "- Build secrets (`--secret`)": (f"{_TENANTS}::test_a_cell",),
    "A pod can name only builders of its own namespace.": (
        f"{_RIGHTS}::test_a_cell",
        f"{_CONSUMERS}::test_a_consumer_gets_the_address_and_a_short_certificate_of_its_own",
        "unit/desired/test_consumers.py::test_a_refusal_does_not_tell_what_there_is",
    ),
    "It only ever adds,": (
        "unit/admission/test_properties.py::test_everything_that_the_user_wrote_is_still_there_in_the_same_order",
        "unit/admission/test_matching.py::test_policies_and_webhooks_select_the_same_pods_and_fail_alike",
        f"{_CONSUMERS}::test_a_user_cannot_forge_a_status",
    ),
    "| policies, webhook | labelled pods": (
        "unit/admission/test_matching.py::test_policies_and_webhooks_select_the_same_pods_and_fail_alike",
        "e2e/test_webhook_engine.py::test_without_replicas_pods_that_ask_are_refused_and_no_others",
    ),
    "| policies, webhook | selected pods": (
        "unit/admission/test_matching.py::test_policies_and_webhooks_select_the_same_pods_and_fail_alike",
        "unit/admission/test_review.py::test_a_picked_pod_that_cannot_be_served_is_admitted_with_a_note",
    ),
    "| policies, webhook | putting back": (
        "unit/admission/test_matching.py::test_policies_and_webhooks_select_the_same_pods_and_fail_alike",
        "integration/admission/test_restore.py::test_a_field_that_a_client_drops_is_kept",
    ),
    "Pods without the label are not sent": (
        "e2e/test_webhook_engine.py::test_without_replicas_pods_that_ask_are_refused_and_no_others",
        "e2e/test_isolation.py::test_rootless_at_baseline_says_so_before_any_pod_is_made_and_the_remedy_works",
    ),
    "The webhook answers the API server alone": (
        "integration/webhook/test_answers.py::test_who_does_not_know_the_path_learns_nothing",
        "integration/webhook/test_answers.py::test_administrators_alone_can_read_the_path",
        "integration/webhook/test_limits.py::test_a_stranger_is_sent_away_before_a_byte_of_the_body_is_read",
        "integration/webhook/test_limits.py::test_strangers_make_room_before_an_api_servers_idle_connection",
        "integration/webhook/test_process.py::test_the_path_is_told_to_who_makes_a_pod_while_nobody_answers",
        "unit/webhook/test_secret_path.py::test_a_path_is_known_for_the_hours_beside_its_own",
        "integration/webhook/test_certificate.py::test_keys_are_neither_logged_nor_anywhere_else",
        f"{_RIGHTS}::test_a_cell",
    ),
    "They stand in `deploy/kustomize/base/rbac.yaml`": (
        f"{_KUSTOMIZE}::test_no_right_is_a_wildcard",
        f"{_KUSTOMIZE}::test_no_right_gives_further_rights",
        "integration/installation/test_rights.py::test_an_account_may_do_exactly_this",
    ),
    "They are still much:": (
        f"{_RIGHTS}::test_a_cell",
        f"{_RIGHTS}::test_the_operator_creates_pods_as_dry_runs_alone",
        "integration/installation/test_namespaced.py::test_an_operator_for_the_whole_cluster_would_be_refused",
    ),
    "Its pods meet level restricted:": (
        f"{_KUSTOMIZE}::test_a_pod_is_hardened_probed_and_bounded",
        f"{_KUSTOMIZE}::test_what_pod_security_warns_of_is_an_error_here",
        f"{_RIGHTS}::test_a_cell",
    ),
    "Metrics of the operator and the webhook": (
        f"{_RIGHTS}::test_whoever_reaches_the_operators_port_reads_names_and_no_values",
        f"{_KUSTOMIZE}::test_each_pod_is_reached_on_its_ports_alone",
        f"{_KUSTOMIZE}::test_no_pod_reaches_its_nodes_credentials",
    ),
    "- A release is made by a workflow": (
        "integration/installation/test_release.py::test_a_release_is_complete",
        "integration/installation/test_release.py::test_the_sbom_names_every_package_of_the_image_by_version_and_hash",
    ),
    "- The Python packages of the image are pinned": (
        "integration/installation/test_release.py::test_the_sbom_names_every_package_of_the_image_by_version_and_hash",
        "unit/test_versions.py::test_the_default_image_is_the_one_that_is_tested",
        "unit/test_versions.py::test_the_operators_image_is_built_on_the_base_that_clusters_get",
        "unit/hack/test_image_pins.py::test_what_is_missing_or_another_is_told",
    ),
    "- `insecure-entitlements`": (
        _GOLDEN,
        "unit/desired/test_buildkitd_toml.py::test_builds_may_ask_for_the_pods_network_until_the_raw_part_forbids_it",
        "e2e/test_pipelines.py::test_a_line_of_the_table",
    ),
    "- Builds of one shared daemon from": (f"{_TENANTS}::test_a_cell",),
    "- The builder from its namespace's administrators,": (f"{_RIGHTS}::test_a_cell",),
}

_SUMMARY: Final = "says what follows in detail"
_BUILDKIT: Final = "is BuildKit's own way, or the kernel's, and nothing of ours"
_ADVICE: Final = "is advice"

NO_PROMISE: Final[dict[str, str]] = {
    "What the operator protects,": _SUMMARY,
    "| the cluster's administrator |": _SUMMARY,
    "- `view` and `edit` are": "names the columns",
    "Anyone who may edit builders has these done": _SUMMARY,
    "A `ResourceQuota`, Pod Security": _ADVICE,
    "In words:": _SUMMARY,
    "- **The network is the pod's.**": _ADVICE,
    "- **Resources**:": _BUILDKIT,
    "Tenants **see of each other**": _SUMMARY,
    "- attestations,": _BUILDKIT,
    "- how busy the daemon is,": _BUILDKIT,
    "And they can **do to each other**": _SUMMARY,
    "- fill the disk,": _BUILDKIT,
    "So: strangers' pull requests,": _ADVICE,
    "- Registry credentials stay with the job": _BUILDKIT,
    "- A Dockerfile's `# syntax=` line": _BUILDKIT,
    "- The node's kernel from a build step,": "protects nothing",
    "- The cluster's network and the cloud's": "protects nothing",
    "- A job from itself:": "protects nothing",
    "- Images that builds make from what": "protects nothing",
    "- Known vulnerabilities of the image": "is the workflow scan.yaml, which needs a registry and a database",
    "- Disk and CPU of the node": "protects nothing",
    "Report it privately,": "is an invitation",
}
"""Passages that need no test, and why."""
