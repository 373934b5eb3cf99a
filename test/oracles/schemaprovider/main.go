// Command schemaprovider stands in for a Terraform provider when a module is only validated: it states the schema of
// the real one and does nothing else. It serves the provider that its file name says, terraform-provider-NAME, from the
// facts in $TIDEGATE_PROVIDER_FACTS/NAME.json (the form is described in tools/import_provider_schema.py).
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// node is a schema, or a block with its place in one.
type node struct {
	Attributes map[string]string `json:"attributes"`
	Blocks     map[string]node   `json:"blocks"`
	Nesting    string            `json:"nesting"`
	Max        int64             `json:"max"`
	Required   bool              `json:"required"`
	Computed   bool              `json:"computed"`
	Attribute  bool              `json:"attribute"`
}

type facts struct {
	Provider node            `json:"provider"`
	Resource map[string]node `json:"resource"`
	Data     map[string]node `json:"data"`
}

func typeOf(text string) tftypes.Type {
	switch text {
	case "string":
		return tftypes.String
	case "number":
		return tftypes.Number
	case "bool":
		return tftypes.Bool
	}
	if kind, inner, found := strings.Cut(strings.TrimSuffix(text, ")"), "("); found && !strings.Contains(inner, "any") {
		element := typeOf(inner)
		switch kind {
		case "list":
			return tftypes.List{ElementType: element}
		case "set":
			return tftypes.Set{ElementType: element}
		case "map":
			return tftypes.Map{ElementType: element}
		}
	}
	return tftypes.DynamicPseudoType
}

// loose says whether a type, or one in the block, is not known: such a thing cannot be part of a set.
func (n node) loose() bool {
	for _, text := range n.Attributes {
		kind, _, _ := split(text)
		if typeOf(kind).Is(tftypes.DynamicPseudoType) {
			return true
		}
	}
	for _, block := range n.Blocks {
		if block.loose() {
			return true
		}
	}
	return false
}

// nesting is how a block stands in another one; a set whose parts are not all known is taken as a list.
func (n node) nesting() string {
	if n.Nesting == "set" && n.loose() {
		return "list"
	}
	return n.Nesting
}

func split(text string) (kind string, required, computed bool) {
	return strings.TrimRight(text, "!="), strings.HasSuffix(text, "!"), strings.HasSuffix(text, "=")
}

// valueType is the type of a block that only the provider sets.
func (n node) valueType() tftypes.Type {
	parts := map[string]tftypes.Type{}
	for name, text := range n.Attributes {
		kind, _, _ := split(text)
		parts[name] = typeOf(kind)
	}
	for name, block := range n.Blocks {
		parts[name] = block.valueType()
	}
	object := tftypes.Object{AttributeTypes: parts}
	switch n.nesting() {
	case "list":
		return tftypes.List{ElementType: object}
	case "set":
		return tftypes.Set{ElementType: object}
	case "map":
		return tftypes.Map{ElementType: object}
	}
	return object
}

func attribute(name, text string, settable bool) *tfprotov6.SchemaAttribute {
	kind, required, computed := split(text)
	return &tfprotov6.SchemaAttribute{
		Name:     name,
		Type:     typeOf(kind),
		Required: required,
		Optional: !required && !computed,
		// Which optional arguments the provider fills in is not known, so any may be.
		Computed: computed || (!required && !settable && !onlyWritten(name)),
		// The packages do not say it; providers name all of these so.
		WriteOnly: onlyWritten(name),
	}
}

func onlyWritten(name string) bool {
	return strings.HasSuffix(name, "_wo") && !strings.HasPrefix(name, "has_")
}

// attributes are those of a schema; a block that is written as an argument is one too.
func (n node) attributes(settable bool) []*tfprotov6.SchemaAttribute {
	var out []*tfprotov6.SchemaAttribute
	for name, text := range n.Attributes {
		out = append(out, attribute(name, text, settable))
	}
	for name, block := range n.Blocks {
		switch {
		case block.Computed:
			out = append(out, &tfprotov6.SchemaAttribute{Name: name, Type: block.valueType(), Computed: true})
		case block.Attribute:
			out = append(out, &tfprotov6.SchemaAttribute{
				Name:       name,
				NestedType: &tfprotov6.SchemaObject{Attributes: block.attributes(settable), Nesting: objectNesting[block.nesting()]},
				Required:   block.Required,
				Optional:   !block.Required,
				Computed:   !block.Required && !settable,
			})
		}
	}
	return out
}

var objectNesting = map[string]tfprotov6.SchemaObjectNestingMode{
	"single": tfprotov6.SchemaObjectNestingModeSingle,
	"list":   tfprotov6.SchemaObjectNestingModeList,
	"set":    tfprotov6.SchemaObjectNestingModeSet,
	"map":    tfprotov6.SchemaObjectNestingModeMap,
}

var blockNesting = map[string]tfprotov6.SchemaNestedBlockNestingMode{
	"single": tfprotov6.SchemaNestedBlockNestingModeSingle,
	"list":   tfprotov6.SchemaNestedBlockNestingModeList,
	"set":    tfprotov6.SchemaNestedBlockNestingModeSet,
	"map":    tfprotov6.SchemaNestedBlockNestingModeMap,
}

func (n node) block(settable bool) *tfprotov6.SchemaBlock {
	out := &tfprotov6.SchemaBlock{Attributes: n.attributes(settable)}
	for name, inner := range n.Blocks {
		if inner.Computed || inner.Attribute {
			continue
		}
		nested := &tfprotov6.SchemaNestedBlock{TypeName: name, Block: inner.block(settable), Nesting: blockNesting[inner.nesting()]}
		if inner.Nesting == "list" || inner.Nesting == "set" {
			nested.MaxItems = inner.Max
			if inner.Required {
				nested.MinItems = 1
			}
		}
		out.BlockTypes = append(out.BlockTypes, nested)
	}
	return out
}

func schemas(of map[string]node) map[string]*tfprotov6.Schema {
	out := map[string]*tfprotov6.Schema{}
	for name, found := range of {
		out[name] = &tfprotov6.Schema{Block: found.block(false)}
	}
	return out
}

// server answers what validation asks; the methods it leaves to the nil interface are never called then.
type server struct {
	tfprotov6.ProviderServer
	facts facts
}

func (s server) GetMetadata(context.Context, *tfprotov6.GetMetadataRequest) (*tfprotov6.GetMetadataResponse, error) {
	out := &tfprotov6.GetMetadataResponse{ServerCapabilities: &tfprotov6.ServerCapabilities{}}
	for name := range s.facts.Resource {
		out.Resources = append(out.Resources, tfprotov6.ResourceMetadata{TypeName: name})
	}
	for name := range s.facts.Data {
		out.DataSources = append(out.DataSources, tfprotov6.DataSourceMetadata{TypeName: name})
	}
	return out, nil
}

func (s server) GetProviderSchema(context.Context, *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	return &tfprotov6.GetProviderSchemaResponse{
		ServerCapabilities: &tfprotov6.ServerCapabilities{},
		Provider:           &tfprotov6.Schema{Block: s.facts.Provider.block(true)},
		ResourceSchemas:    schemas(s.facts.Resource),
		DataSourceSchemas:  schemas(s.facts.Data),
		Functions:          map[string]*tfprotov6.Function{},
	}, nil
}

func (s server) GetResourceIdentitySchemas(context.Context, *tfprotov6.GetResourceIdentitySchemasRequest) (*tfprotov6.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov6.GetResourceIdentitySchemasResponse{}, nil
}

func (s server) GetFunctions(context.Context, *tfprotov6.GetFunctionsRequest) (*tfprotov6.GetFunctionsResponse, error) {
	return &tfprotov6.GetFunctionsResponse{}, nil
}

func (s server) ValidateProviderConfig(_ context.Context, asked *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: asked.Config}, nil
}

func (s server) ValidateResourceConfig(context.Context, *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return &tfprotov6.ValidateResourceConfigResponse{}, nil
}

func (s server) ValidateDataResourceConfig(context.Context, *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	return &tfprotov6.ValidateDataResourceConfigResponse{}, nil
}

func (s server) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

var fileName = regexp.MustCompile(`^terraform-provider-([a-z0-9]+)`)

func run() error {
	named := fileName.FindStringSubmatch(filepath.Base(os.Args[0]))
	if named == nil {
		return fmt.Errorf("%s: the file name is not terraform-provider-NAME", os.Args[0])
	}
	text, err := os.ReadFile(filepath.Join(os.Getenv("TIDEGATE_PROVIDER_FACTS"), named[1]+".json"))
	if err != nil {
		return err
	}
	var found facts
	if err := json.Unmarshal(text, &found); err != nil {
		return err
	}
	serve := func() tfprotov6.ProviderServer { return server{facts: found} }
	return tf6server.Serve("registry.opentofu.org/hashicorp/"+named[1], serve)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "schemaprovider:", err)
		os.Exit(1)
	}
}
