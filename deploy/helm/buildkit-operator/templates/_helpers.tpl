{{/* Name of the objects in the release's namespace. */}}
{{- define "buildkit-operator.fullname" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) -}}
{{- $name = printf "%s-%s" $name .Chart.Name -}}
{{- end -}}
{{- .Values.fullnameOverride | default ($name | replace "." "-" | trunc 53 | trimSuffix "-") -}}
{{- end -}}

{{/*
Name of the objects that belong to no namespace, and of the webhook's Service and Secret, which share its configuration's.
It always begins with buildkit-operator: by that the operator knows a refusal of its own engine.
*/}}
{{- define "buildkit-operator.clusterName" -}}
{{- $name := .Chart.Name -}}
{{- if ne .Release.Namespace .Chart.Name -}}
{{- $name = printf "%s-%s" $name .Release.Namespace -}}
{{- end -}}
{{- if ne .Release.Name .Chart.Name -}}
{{- $name = printf "%s-%s" $name (.Release.Name | replace "." "-") -}}
{{- end -}}
{{- if gt (len $name) 54 -}}
{{- $name = printf "%s-%s" ($name | trunc 45 | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* Name of the webhook's configuration, Service and Secret. */}}
{{- define "buildkit-operator.webhookName" -}}
{{- include "buildkit-operator.clusterName" . }}-webhook
{{- end -}}

{{/* Labels of every object; takes a list of the root and the component, which may be empty. */}}
{{- define "buildkit-operator.labels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
{{- with index . 1 }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Labels that select a workload's pods; takes a list of the root and what comes after buildkit-operator. */}}
{{- define "buildkit-operator.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}{{ index . 1 }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
{{- end -}}

{{/* AdmissionPolicy or Webhook. */}}
{{- define "buildkit-operator.engine" -}}
{{- if ne .Values.injection.engine "Auto" -}}
{{- .Values.injection.engine -}}
{{- else if or (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy") (semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version) -}}
AdmissionPolicy
{{- else -}}
Webhook
{{- end -}}
{{- end -}}

{{/*
The expressions of an engine's namespaceSelector, with the namespaces whose pods this release leaves alone, or looks at
alone, in the place of the generated ones. Takes a list of the root and the generated expressions.
*/}}
{{- define "buildkit-operator.namespaceExpressions" -}}
{{- $root := index . 0 -}}
{{- range index . 1 }}
{{- if ne .key "kubernetes.io/metadata.name" }}
- {{ toJson . }}
{{- end }}
{{- end }}
- {key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system, {{ $root.Release.Namespace | quote }}]}
{{- with $root.Values.watchNamespaces }}
- {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}
{{- end }}
{{- end -}}
