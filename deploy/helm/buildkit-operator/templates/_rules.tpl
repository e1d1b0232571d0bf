{{- /* Generated from each program's rights.py by `make generate`; do not edit. */}}
{{- define "buildkit-operator.viewRules" -}}
- apiGroups: [buildkit-operator.dev]
  resources: [buildkitbuilders]
  verbs: [get, list, watch]
- apiGroups: [buildkit-operator.dev]
  resources: [buildkitbuilders/scale]
  verbs: [get]
{{- end -}}
{{- define "buildkit-operator.editRules" -}}
- apiGroups: [buildkit-operator.dev]
  resources: [buildkitbuilders]
  verbs: [get, list, watch, create, update, patch, delete, deletecollection]
- apiGroups: [buildkit-operator.dev]
  resources: [buildkitbuilders/scale]
  verbs: [get, update, patch]
{{- end -}}
{{- define "buildkit-operator.operatorRules" -}}
- apiGroups: [buildkit-operator.dev]
  resources: [buildkitbuilders]
  verbs: [list, watch]
- apiGroups: [buildkit-operator.dev]
  resources: [buildkitbuilders/status]
  verbs: [patch]
# Where OwnerReferencesPermissionEnforcement is on (OpenShift), blockOwnerDeletion needs this.
- apiGroups: [buildkit-operator.dev]
  resources: [buildkitbuilders/finalizers]
  verbs: [update]
# A builder's objects. Server-side apply is create and patch.
- apiGroups: [""]
  resources: [services, configmaps, serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
# Secrets by name: nobody can read all of them through the operator.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch, delete]
# Certificates that cert-manager issues, for builders that ask for it; by name as well.
- apiGroups: [cert-manager.io]
  resources: [certificates]
  verbs: [get, create, patch, delete]
# What keeps daemons from starting. create: as dry runs, to see whether a runner pod would get its sidecar; patch: the
# deletion cost of daemons' pods, so that the emptiest go first. The ValidatingAdmissionPolicy buildkit-operator-probe
# refuses all others.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, create, patch]
# The PVCs of shared builders, which StatefulSets make, are told to grow; and whether that of a local cache is there.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, patch]
# Pod Security levels. In a Role it is the right to read the Role's own namespace.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
# To give pods the labels of a builder's daemons: the policy buildkit-operator-daemons asks for it.
- apiGroups: [buildkit-operator.dev]
  resources: [buildkitbuilders/daemons]
  verbs: [create]
{{- end -}}
{{- define "buildkit-operator.operatorOwnNamespaceRules" -}}
# The Lease by which one of several replicas is the leader.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, update]
{{- end -}}
{{- define "buildkit-operator.operatorPublicRules" -}}
# For every ServiceAccount: another installation of the operator sees by it whether this one is there.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "buildkit-operator.fullname" . }}]
  verbs: [get]
{{- end -}}
{{- define "buildkit-operator.webhookRules" -}}
- apiGroups: [buildkit-operator.dev]
  resources: [buildkitbuilders]
  verbs: [list, watch]
{{- end -}}
{{- define "buildkit-operator.webhookClusterRules" -}}
# Its own configuration alone, to keep there which CA the API server trusts. No Role can give this.
- apiGroups: [admissionregistration.k8s.io]
  resources: [mutatingwebhookconfigurations]
  resourceNames: [{{ include "buildkit-operator.webhookName" . }}]
  verbs: [get, watch, patch]
{{- end -}}
{{- define "buildkit-operator.webhookOwnNamespaceRules" -}}
# The Secret with its certificate and its CA, and no other one.
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "buildkit-operator.webhookName" . }}]
  verbs: [get, watch, create, patch]
{{- end -}}
