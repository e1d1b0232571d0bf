-- Health of a BuildKitBuilder for Argo CD, which knows none of resources that are not its own.
-- It reads the conditions as kstatus does, so that Argo CD, Flux and helm --wait agree; it needs no library of Lua.

local health = {status = "Progressing", message = "Waiting for the operator to look at the builder"}

if obj.metadata.deletionTimestamp ~= nil then
  health.message = "Waiting for the builder's objects to be deleted"
  return health
end
if obj.status == nil or obj.status.conditions == nil
  or obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end

local holds = {}
for _, condition in ipairs(obj.status.conditions) do
  holds[condition.type] = condition.status == "True"
  if condition.type == "Ready" then
    health.message = condition.message
  end
end

if obj.spec.suspend then
  health.status = "Suspended"
elseif holds.Stalled then
  health.status = "Degraded"
elseif holds.Ready and not holds.Reconciling then
  health.status = "Healthy"
end
return health
