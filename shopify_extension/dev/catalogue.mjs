/** The shop's products: what a merchant keeps in Shopify, made from the garments that the backend knows. */

const LOOKS = {
  't-shirt': {
    handle: 'organic-cotton-tee',
    price: 2900,
    colours: ['Chalk', 'Moss'],
    text: 'A straight tee in heavy organic jersey. Washed once, so it stays the size it is.',
  },
  dress: {
    handle: 'linen-summer-dress',
    price: 8900,
    colours: ['Sand', 'Ink'],
    text: 'A light dress in European linen with a waist seam and a skirt that moves.',
  },
  trousers: {
    handle: 'everyday-chino',
    price: 6900,
    colours: ['Clay', 'Navy'],
    text: 'A chino with a tapered leg in a dense cotton twill, for most days of the year.',
  },
};
const OTHER = { price: 4900, colours: ['Plain'], text: 'Made well, in small numbers.' };

/** Products in the order of the garments; a garment without a product id is not for sale here. */
export function makeProducts(garments) {
  return garments.filter((garment) => garment.shopify_product_id != null).map(makeProduct);
}

function makeProduct(garment) {
  const look = LOOKS[garment.category] ?? { ...OTHER, handle: handleOf(garment.name) };
  const id = Number(garment.shopify_product_id);
  const variants = look.colours.flatMap((colour, row) =>
    Object.keys(garment.size_chart.sizes).map((size, column, sizes) => ({
      id: id * 1000 + row * sizes.length + column,
      title: `${colour} / ${size}`,
      options: [colour, size],
      option1: colour,
      option2: size,
      price: look.price,
      // The largest size of the second colour is sold out, so that this can be seen too.
      available: !(row === 1 && column === sizes.length - 1),
    })),
  );
  return {
    id,
    title: garment.name,
    handle: look.handle,
    category: garment.category,
    description: look.text,
    price: look.price,
    colours: look.colours,
    sizes: Object.keys(garment.size_chart.sizes),
    variants,
    selected_or_first_available_variant: variants[Math.floor((variants.length / look.colours.length) / 2)],
  };
}

const handleOf = (name) => name.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '');
