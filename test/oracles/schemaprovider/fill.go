package main

import (
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// filler makes the value of an attribute that is not written.
type filler func(name string, kind tftypes.Type) tftypes.Value

func unknown(_ string, kind tftypes.Type) tftypes.Value {
	return tftypes.NewValue(kind, tftypes.UnknownValue)
}

// placeholder is the same for the same name and type: never null, one element in each collection. A text is a JSON
// object where the name says that it is JSON.
func placeholder(name string, kind tftypes.Type) tftypes.Value {
	switch of := kind.(type) {
	case tftypes.List:
		return tftypes.NewValue(kind, []tftypes.Value{placeholder(name, of.ElementType)})
	case tftypes.Set:
		return tftypes.NewValue(kind, []tftypes.Value{placeholder(name, of.ElementType)})
	case tftypes.Map:
		return tftypes.NewValue(kind, map[string]tftypes.Value{"placeholder": placeholder(name, of.ElementType)})
	case tftypes.Object:
		parts := map[string]tftypes.Value{}
		for part, inner := range of.AttributeTypes {
			parts[part] = placeholder(part, inner)
		}
		return tftypes.NewValue(kind, parts)
	}
	switch {
	case kind.Is(tftypes.Number):
		return tftypes.NewValue(kind, 1)
	case kind.Is(tftypes.Bool):
		return tftypes.NewValue(kind, true)
	case strings.HasSuffix(name, "json"):
		return tftypes.NewValue(tftypes.String, "{}")
	}
	return tftypes.NewValue(tftypes.String, "placeholder-"+name)
}

// fillObject gives every attribute of an object that is null, and that the provider may set, the value of fill.
func (n node) fillObject(packed *tfprotov6.DynamicValue, fill filler) (*tfprotov6.DynamicValue, error) {
	kind := (&tfprotov6.Schema{Block: n.block(false)}).ValueType()
	value, err := packed.Unmarshal(kind)
	if err != nil {
		return nil, err
	}
	filled, err := n.filled(value, fill)
	if err != nil {
		return nil, err
	}
	out, err := tfprotov6.NewDynamicValue(kind, filled)
	return &out, err
}

func (n node) filled(value tftypes.Value, fill filler) (tftypes.Value, error) {
	kind, isObject := value.Type().(tftypes.Object)
	if !isObject || value.IsNull() || !value.IsKnown() {
		return value, nil
	}
	parts := map[string]tftypes.Value{}
	if err := value.As(&parts); err != nil {
		return value, err
	}
	for name := range n.Attributes {
		switch {
		case onlyWritten(name): // whoever plans or keeps it would tell it
			parts[name] = tftypes.NewValue(kind.AttributeTypes[name], nil)
		case parts[name].IsNull():
			parts[name] = fill(name, kind.AttributeTypes[name])
		}
	}
	for name, block := range n.Blocks {
		part, err := block.filledBlock(name, parts[name], kind.AttributeTypes[name], fill)
		if err != nil {
			return value, err
		}
		parts[name] = part
	}
	return tftypes.NewValue(kind, parts), nil
}

// filledBlock is one argument that holds blocks: those that are written stay, and what is missing in them is filled.
func (n node) filledBlock(name string, value tftypes.Value, kind tftypes.Type, fill filler) (tftypes.Value, error) {
	switch {
	case value.IsNull() && (n.Computed || n.Attribute):
		return fill(name, kind), nil
	case value.IsNull() || !value.IsKnown() || n.Computed:
		return value, nil
	}
	switch n.nesting() {
	case "list", "set":
		var items []tftypes.Value
		if err := value.As(&items); err != nil {
			return value, err
		}
		for i := range items {
			var err error
			if items[i], err = n.filled(items[i], fill); err != nil {
				return value, err
			}
		}
		return tftypes.NewValue(value.Type(), items), nil
	case "map":
		items := map[string]tftypes.Value{}
		if err := value.As(&items); err != nil {
			return value, err
		}
		for key := range items {
			var err error
			if items[key], err = n.filled(items[key], fill); err != nil {
				return value, err
			}
		}
		return tftypes.NewValue(value.Type(), items), nil
	}
	return n.filled(value, fill)
}
