"""Every GraphQL document that we send, on one pinned version of the Admin API.

Tests validate each against Shopify's own schema of this version and the next, refuse deprecated fields, and derive from
them the scopes that the app asks for. Names, addresses, phones and e-mail of customers are never selected.
"""

import msgspec

API_VERSION = "2026-10"


class Document(msgspec.Struct, frozen=True):
    name: str
    text: str
    is_repeatable: bool = True
    """Whether it may be sent again when no answer came: queries, and mutations that set rather than add."""


INSTALLATION = Document(
    "installation",
    """
    query Installation {
      shop {
        id name myshopifyDomain currencyCode ianaTimezone
        primaryDomain { host }
        domains { host sslEnabled }
      }
      currentAppInstallation { id accessScopes { handle } }
    }
    """,
)

APP_METAFIELDS = Document(
    "app_metafields",
    """
    query AppMetafields($keys: [String!]!) {
      currentAppInstallation {
        id
        metafields(first: 50, keys: $keys) { nodes { namespace key value compareDigest } }
      }
    }
    """,
)
"""`keys` are `namespace.key`; what does not exist is not listed."""

SET_METAFIELDS = Document(
    "set_metafields",
    """
    mutation SetMetafields($metafields: [MetafieldsSetInput!]!) {
      metafieldsSet(metafields: $metafields) {
        metafields { id namespace key compareDigest }
        userErrors { field message code elementIndex }
      }
    }
    """,
)
"""At most 25 at a time, all or none; with `compareDigest` it answers STALE_OBJECT when someone else wrote first."""

WEB_PIXEL = Document("web_pixel", "query WebPixel { webPixel { id settings } }")

CREATE_WEB_PIXEL = Document(
    "create_web_pixel",
    """
    mutation CreateWebPixel($settings: JSON!) {
      webPixelCreate(webPixel: {settings: $settings}) {
        webPixel { id }
        userErrors { code field message }
      }
    }
    """,
)
"""A shop has at most one pixel of ours; a second creation answers TAKEN."""

UPDATE_WEB_PIXEL = Document(
    "update_web_pixel",
    """
    mutation UpdateWebPixel($id: ID!, $settings: JSON!) {
      webPixelUpdate(id: $id, webPixel: {settings: $settings}) {
        webPixel { id }
        userErrors { code field message }
      }
    }
    """,
)

_PRODUCT_FIELDS = """
    fragment ProductFields on Product {
      id handle title status productType updatedAt
      featuredMedia { preview { image { url altText width height } } }
      options { id name position optionValues { id name } }
    }
"""

PRODUCTS = Document(
    "products",
    """
    query Products($after: String, $query: String) {
      products(first: 50, after: $after, query: $query, sortKey: UPDATED_AT) {
        nodes { ...ProductFields }
        pageInfo { hasNextPage endCursor }
      }
    }
    """
    + _PRODUCT_FIELDS,
)

PRODUCT = Document(
    "product",
    """
    query Product($id: ID!, $after: String) {
      product(id: $id) {
        ...ProductFields
        charts: metafields(first: 25) { nodes { namespace key type value } }
        variants(first: 250, after: $after) {
          nodes { id sku title selectedOptions { name value optionValue { id } } }
          pageInfo { hasNextPage endCursor }
        }
      }
    }
    """
    + _PRODUCT_FIELDS,
)

BULK_PRODUCTS = Document(
    "bulk_products",
    """
    query BulkProducts {
      products {
        edges { node {
          id handle title status productType updatedAt
          featuredMedia { preview { image { url altText width height } } }
          options { id name position optionValues { id name } }
          metafields { edges { node { id namespace key type value } } }
          variants { edges { node { id sku title selectedOptions { name value optionValue { id } } } } }
        } }
      }
    }
    """,
)
"""For `START_BULK`: connections without limits, their nodes with `id`, which the result's `__parentId` names."""

START_BULK = Document(
    "start_bulk",
    """
    mutation StartBulk($query: String!) {
      bulkOperationRunQuery(query: $query, groupObjects: false) {
        bulkOperation { id status }
        userErrors { field message code }
      }
    }
    """,
    is_repeatable=False,
)

BULK_OPERATION = Document(
    "bulk_operation",
    """
    query BulkOperation($id: ID!) {
      bulkOperation(id: $id) {
        id status errorCode objectCount rootObjectCount url partialDataUrl createdAt completedAt
      }
    }
    """,
)

RUNNING_BULK = Document(
    "running_bulk",
    """
    query RunningBulk {
      bulkOperations(first: 5, query: "status:running OR status:created", sortKey: CREATED_AT, reverse: true) {
        nodes { id status type query }
      }
    }
    """,
)

_MONEY = "fragment Money on MoneyBag { shopMoney { amount currencyCode } }"

ORDER = Document(
    "order",
    """
    query Order($id: ID!, $after: String) {
      order(id: $id) {
        id createdAt updatedAt test cancelledAt displayFinancialStatus currencyCode
        transactions(first: 50) { kind status processedAt }
        lineItems(first: 100, after: $after) {
          nodes {
            id quantity currentQuantity title
            product { id }
            variant { id }
            variantTitle
            customAttributes { key value }
            gross: discountedTotalSet(withCodeDiscounts: true) { ...Money }
            net: priceAfterAllDiscountsBeforeTaxesSet { ...Money }
          }
          pageInfo { hasNextPage endCursor }
        }
        refunds(first: 50) {
          id createdAt
          return { id }
          refundLineItems(first: 100) {
            nodes { id quantity restockType lineItem { id } subtotalSet { ...Money } }
            pageInfo { hasNextPage endCursor }
          }
        }
        returns(first: 50) {
          nodes {
            id status createdAt
            returnLineItems(first: 100) {
              nodes {
                id quantity
                ... on ReturnLineItem {
                  refundedQuantity
                  value: withCodeDiscountedTotalPriceSet { ...Money }
                  returnReasonDefinition { id handle name }
                  fulfillmentLineItem { lineItem { id } }
                }
              }
              pageInfo { hasNextPage endCursor }
            }
          }
          pageInfo { hasNextPage endCursor }
        }
      }
    }
    """
    + _MONEY,
)

RETURN_ORDER = Document("return_order", "query ReturnOrder($id: ID!) { return(id: $id) { id order { id } } }")
"""For returns whose webhook does not name their order."""

ORDERS_UPDATED = Document(
    "orders_updated",
    """
    query OrdersUpdated($query: String!, $after: String) {
      orders(first: 20, after: $after, query: $query, sortKey: UPDATED_AT) {
        nodes {
          id updatedAt
          lineItems(first: 25) {
            nodes { product { id } customAttributes { key } }
            pageInfo { hasNextPage }
          }
        }
        pageInfo { hasNextPage endCursor }
      }
    }
    """,
)
"""`query` such as `updated_at:>='2026-11-20T00:00:00Z'`. Just enough of each order to see whether it is to be read."""

RETURN_REASONS = Document(
    "return_reasons",
    """
    query ReturnReasons($after: String) {
      returnReasonDefinitions(first: 250, after: $after) {
        nodes { id handle name deleted }
        pageInfo { hasNextPage endCursor }
      }
    }
    """,
)
