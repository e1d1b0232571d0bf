package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// healths are all that Argo CD takes for an answer.
var healths = []string{"Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown"}

// argoHealth runs a health script as Argo CD does where nobody has set useOpenLibs: in a Lua that opens hardly any
// library, with a second's time and the object in the global `obj`.
func argoHealth(script string, object map[string]any) (said, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	second, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(second)
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(script); err != nil {
		return said{}, err
	}
	health, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return said{}, fmt.Errorf("the script returns no table but a %s", state.Get(-1).Type())
	}
	result := said{lua.LVAsString(health.RawGetString("status")), lua.LVAsString(health.RawGetString("message"))}
	if !slices.Contains(healths, result.Status) {
		return said{}, fmt.Errorf("the script returns a status that Argo CD does not know: %q", result.Status)
	}
	return result, nil
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case string:
		return lua.LString(value)
	case []any:
		table := state.NewTable()
		for _, item := range value {
			table.Append(toLua(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	}
	return lua.LNil
}
