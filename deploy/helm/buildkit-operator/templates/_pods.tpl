{{/* Metadata of a pod template; takes a list of the root and what comes after buildkit-operator. */}}
{{- define "buildkit-operator.podMetadata" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.podAnnotations -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{ end -}}
labels:
  {{- merge (include "buildkit-operator.selectorLabels" . | fromYaml) $root.Values.podLabels | toYaml | nindent 2 }}
{{- end -}}

{{/* What all pods have in common: restricted Pod Security, and where they run. */}}
{{- define "buildkit-operator.podSpec" -}}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Replicas on different nodes where that can be; takes a list of the root and what comes after buildkit-operator. */}}
{{- define "buildkit-operator.spread" -}}
topologySpreadConstraints:
- topologyKey: kubernetes.io/hostname
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "buildkit-operator.selectorLabels" . | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end -}}

{{/* What all containers have in common. */}}
{{- define "buildkit-operator.container" -}}
image: {{ required "image.repository is empty. Build the operator's image, push it to where this cluster can pull it (docs/install.md), and name it: --set image.repository=registry.example.com/buildkit-operator" .Values.image.repository }}{{ with .Values.image.digest }}@{{ . }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  capabilities: {drop: [ALL]}
  readOnlyRootFilesystem: true
{{- end -}}

{{/* Environment variables of all processes. */}}
{{- define "buildkit-operator.env" -}}
- {name: BUILDKIT_OPERATOR_LOG_LEVEL, value: {{ .Values.logLevel }}}
- {name: BUILDKIT_OPERATOR_LOG_FORMAT, value: {{ .Values.logFormat }}}
{{- with .Values.watchNamespaces }}
- {name: BUILDKIT_OPERATOR_WATCH_NAMESPACES, value: {{ join "," . | quote }}}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
